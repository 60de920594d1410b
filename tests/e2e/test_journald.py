"""``--log-driver journald`` with systemd's own journald, in a mount namespace where nobody else has one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lxcwrap.runtime.journald import SOCKET
from tests.conftest import Cli

JOURNALD = next((path for path in ("/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald")
                 if os.path.exists(path)), "")  # fmt: skip
_NAMESPACE = """
set -e
mkdir -p /run/systemd /run/log /var/log/journal
for place in /run/systemd /run/log /var/log/journal; do mount -t tmpfs none $place; done
mkdir -p /run/systemd/journal /run/log/journal
mkdir -p /run/systemd/journald.conf.d
printf '[Journal]\\nRateLimitIntervalSec=0\\n' >/run/systemd/journald.conf.d/tests.conf
echo ready
exec sleep infinity
"""


class Host:
    """A mount namespace with a journal of its own."""

    def __init__(self, pid: int) -> None:
        self.enter = ["nsenter", "-t", str(pid), "-m"]
        self.daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.daemon = subprocess.Popen(
            [*self.enter, JOURNALD], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(100):
            if self.run("test", "-S", SOCKET, check=False).returncode == 0:
                return
            time.sleep(0.05)
        pytest.fail("journald does not come up")

    def stop(self) -> None:
        assert self.daemon
        self.daemon.kill()
        self.daemon.wait()

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.enter, *words], capture_output=True, text=True, check=check, timeout=60)

    def entries(self, container: str, count: int) -> list[dict[str, Any]]:
        """Its lines as journalctl has them, once there are so many."""
        for _ in range(100):
            lines = self.run("journalctl", "-q", "-o", "json", "--all", f"CONTAINER_NAME={container}").stdout
            found = [json.loads(line) for line in lines.splitlines()]
            if len(found) >= count:
                return found
            time.sleep(0.05)
        pytest.fail(f"{len(found)} lines instead of {count}")


@pytest.fixture(scope="module")
def host(missing: Any) -> Iterator[Host]:
    if not JOURNALD or not os.path.exists("/usr/bin/journalctl"):
        missing("systemd's journald is not installed")
    holder = subprocess.Popen(["unshare", "-m", "sh", "-c", _NAMESPACE], stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"ready\n"
    host = Host(holder.pid)
    host.start()
    yield host
    host.stop()
    holder.kill()
    holder.wait()


@pytest.fixture(scope="module")
def journal(cli: Cli, busybox: str, host: Host) -> Cli:
    """The command on the host with the journal."""
    inside = Cli(cli.root)
    inside.program = [*host.enter, *cli.program]
    return inside


RUN = ("run", "--network", "none", "--log-driver", "journald")


def test_fields(journal: Cli, busybox: str, host: Host) -> None:
    words = ("--name", "fields", "-l", "com.example.team=a\nb", "-l", "other=x", "-e", "STAGE=test", "-e", "SECRET=1")
    options = ("--log-opt", "tag={{.Name}}/{{ .ID }}", "--log-opt", "labels=com.example.team", "--log-opt", "env=STAGE")
    done = journal(*RUN, *words, *options, busybox, "sh", "-c", "echo out; sleep 0.1; echo err >&2")
    assert (done.out, done.err) == ("out\n", "err\n"), "the caller sees it as well"
    container_id = journal("inspect", "-f", "{{.Id}}", "fields").out.strip()
    out, err = host.entries("fields", 2)
    assert (out["MESSAGE"], out["PRIORITY"], err["MESSAGE"], err["PRIORITY"]) == ("out", "6", "err", "3")
    assert out["CONTAINER_ID_FULL"] == container_id
    assert out["CONTAINER_ID"] == container_id[:12]
    assert out["CONTAINER_TAG"] == out["SYSLOG_IDENTIFIER"] == f"fields/{container_id[:12]}"
    assert out["IMAGE_NAME"] == busybox
    assert (out["COM_EXAMPLE_TEAM"], out["STAGE"]) == ("a\nb", "test")
    assert "OTHER" not in out and "SECRET" not in out
    shown = journal(
        "inspect", "-f", "{{.HostConfig.LogConfig.Type}} {{.LogPath}}|{{.HostConfig.LogConfig.Config.env}}", "fields"
    )
    assert shown.out == "journald |STAGE\n"
    assert not os.path.exists(f"{journal.root}/containers/{container_id}/output.log")
    journal("rm", "fields")


def test_logs(journal: Cli, busybox: str) -> None:
    script = "for i in 1 2 3 4 5; do echo line $i; done; sleep 0.05; echo error >&2; sleep 0.05; printf 'no newline'"
    journal(*RUN, "--name", "read", busybox, "sh", "-c", script)
    seen = journal("logs", "read")
    assert (seen.out, seen.err) == ("line 1\nline 2\nline 3\nline 4\nline 5\nno newline", "error\n")
    assert journal("logs", "--tail", "2", "read").out == "no newline"
    assert journal("logs", "--tail", "4", "read").out == "line 4\nline 5\nno newline"
    assert journal("logs", "-f", "read").out == seen.out, "it has ended: there is nothing to wait for"
    stamped = journal("logs", "-t", "read").lines
    assert stamped[0].endswith("Z line 1")
    moment = stamped[0].split()[0]
    assert journal("logs", "--until", "2001-01-01", "read").out == ""
    assert journal("logs", "--since", moment, "read").out.endswith("line 5\nno newline")
    assert journal("logs", "--since", "2100-01-01", "read").out == ""
    journal("rm", "read")


def test_logs_right_after_the_end(journal: Cli, busybox: str) -> None:
    """journald takes its time; the reader knows which line is the last."""
    for number in range(5):
        journal(*RUN, "--name", "quick", busybox, "sh", "-c", f"seq 500; echo {number}")
        assert journal("logs", "--tail", "1", "quick").out == f"{number}\n"
        assert len(journal("logs", "quick").lines) == 501
        journal("rm", "quick")


def test_long_lines_and_bytes_that_are_no_text(journal: Cli, busybox: str, host: Host) -> None:
    script = "head -c 100000 /dev/zero | tr '\\\\0' x; echo end; printf '\\\\377\\\\000\\\\001\\\\033[1m\\\\n'"
    words = (*RUN, "--name", "long", busybox, "sh", "-c", script.replace("\\\\", "\\"))
    journal(*words)
    seen = subprocess.run(journal.argv("logs", "long"), env=journal.environment, capture_output=True, timeout=60).stdout
    assert seen == b"x" * 100000 + b"end\n\xff\0\1\33[1m\n"
    parts = host.entries("long", 8)
    assert [len(part["MESSAGE"]) for part in parts[:6]] == [16384] * 6
    assert [part.get("CONTAINER_PARTIAL_MESSAGE") for part in parts] == ["true"] * 6 + [None] * 2
    journal("rm", "long")


def test_following(journal: Cli, busybox: str) -> None:
    script = "echo one; sleep 1; echo two; sleep 0.5; echo three"
    journal("run", "-d", "--network", "none", "--log-driver", "journald", "--name", "slow", busybox, "sh", "-c", script)
    assert journal("logs", "-f", "slow").lines == ["one", "two", "three"]
    assert journal("logs", "-f", "--tail", "1", "slow").lines == ["three"]
    journal("rm", "-f", "slow")


def test_restarts_and_a_terminal(journal: Cli, busybox: str) -> None:
    words = ("-d", "-t", "--network", "none", "--log-driver", "journald", "--restart", "on-failure:2")
    journal("run", *words, "--name", "again", busybox, "sh", "-c", "echo run; exit 1")
    journal("wait", "again")
    assert journal("logs", "again").out == "run\r\n" * 3
    journal("start", "again")
    journal("wait", "again")
    assert journal("logs", "again").out == "run\r\n" * 6
    journal("rm", "again")


def test_a_journald_that_goes_and_comes(journal: Cli, busybox: str, host: Host) -> None:
    script = "echo before; while [ ! -e /go ]; do sleep 0.05; done; echo lost; sleep 1.5; rm /go; "
    script += "while [ ! -e /go ]; do sleep 0.05; done; echo after; sleep 600"
    words = ("-d", "--network", "none", "--log-driver", "journald", "--name", "lasting")
    journal("run", *words, busybox, "sh", "-c", script)
    host.entries("lasting", 1)
    host.stop()
    began = time.monotonic()
    journal("exec", "lasting", "touch", "/go")
    while journal("exec", "lasting", "ls", "/go", check=False).code == 0:
        assert time.monotonic() - began < 20
        time.sleep(0.1)
    host.start()
    journal("exec", "lasting", "touch", "/go")
    assert [entry["MESSAGE"] for entry in host.entries("lasting", 3)] == [
        "before",
        "1 lines were lost: journald did not take them",
        "after",
    ]
    journal("rm", "-f", "lasting")


def test_a_journald_that_stands_still(journal: Cli, busybox: str, host: Host) -> None:
    """It slows the container for a second, not for ever; and the container can be stopped."""
    assert host.daemon
    host.daemon.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        journal(*RUN, "--name", "patient", busybox, "sh", "-c", "seq 5000; echo done >/done")
        assert time.monotonic() - began < 20
    finally:
        host.daemon.send_signal(signal.SIGCONT)
    lines = journal("logs", "patient").lines
    assert lines[0] == "1"
    assert len(lines) < 5000
    journal("rm", "patient")


def test_a_host_without_journald(cli: Cli, busybox: str) -> None:
    if os.path.exists(SOCKET):
        pytest.skip("this host has journald")
    refused = cli(*RUN, "--name", "nowhere", busybox, "true", check=False)
    assert (refused.code, "--log-driver journald: no journald on this host" in refused.err) == (125, True)
    assert "nowhere" not in cli("ps", "-a", "--format", "{{.Names}}").lines


def test_a_journald_that_is_gone_at_the_start(journal: Cli, cli: Cli, busybox: str) -> None:
    if os.path.exists(SOCKET):
        pytest.skip("this host has journald")
    journal("create", "--network", "none", "--log-driver", "journald", "--name", "moved", busybox, "true")
    refused = cli("start", "moved", check=False)
    assert refused.code == 1
    assert f"{SOCKET}: No such file or directory" in refused.err
    cli("rm", "moved")


@pytest.mark.parametrize(
    "option", ["max-size=1m", "mode=non-blocking", "tag={{.Nonsense}}", "tag={{if .ID}}x{{end}}", "labels-regex=["]
)
def test_options_that_are_not_understood(journal: Cli, busybox: str, option: str) -> None:
    refused = journal(*RUN, "--log-opt", option, busybox, "true", check=False)
    assert (refused.code, len(refused.err.splitlines())) == (125, 1)
