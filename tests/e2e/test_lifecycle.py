"""start, stop, kill, exec, attach, logs, pause, rename, rm; and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

TICKS = "trap 'exit 3' TERM; echo first; echo bad >&2; while :; do sleep 0.05; done"


@pytest.fixture
def running(cli: Any, busybox: str) -> Iterator[str]:
    cli("run", "-d", "--name", "box", busybox, "sh", "-c", TICKS)
    yield "box"
    cli("rm", "-f", "box", check=False)


def status(cli: Any, name: str) -> str:
    return str(cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).out.strip())


def test_stop_start_restart(cli: Any, running: str) -> None:
    cli("stop", running)
    assert status(cli, running) == "exited 3"
    cli("start", running)
    assert status(cli, running) == "running 0"
    cli("restart", running)
    assert status(cli, running) == "running 0"
    cli("kill", running)
    assert status(cli, running) == "exited 137"


def test_exec(cli: Any, running: str) -> None:
    assert cli("exec", running, "sh", "-c", "exit 5", check=False).code == 5
    assert cli("exec", running, "no-such", check=False).code == 127
    assert cli("exec", "-i", running, "cat", input=b"through").out == "through"
    out = cli("exec", "-u", "1", "-w", "/tmp", "-e", "A=b", running, "sh", "-c", "id -u; pwd; echo $A").out
    assert out == "1\n/tmp\nb\n"
    own = cli("exec", running, "grep", "-E", "CapBnd|Seccomp:", "/proc/self/status").out
    first = cli("exec", running, "grep", "-E", "CapBnd|Seccomp:", "/proc/1/status").out
    assert own == first
    cgroups = cli("exec", running, "sh", "-c", "cat /proc/self/cgroup; echo; cat /proc/1/cgroup").out.split("\n\n")
    assert cgroups[0].split() == cgroups[1].split()


def test_exec_terminal(cli: Any, running: str) -> None:
    child = cli.terminal("exec", "-it", running, "sh", dimensions=(30, 100))
    child.expect("# ")
    child.sendline("tty; stty size")
    child.expect("/dev/pts/\\d+\r\n30 100")
    child.sendline("exit 6")
    child.expect(__import__("pexpect").EOF)
    child.close()
    assert child.exitstatus == 6


def test_logs(cli: Any, running: str) -> None:
    time.sleep(0.2)
    result = cli("logs", running)
    assert (result.out, result.err) == ("first\n", "bad\n")
    assert cli("logs", "--tail", "0", running).out == ""
    stamped = cli("logs", "-t", running).out
    assert stamped.endswith("Z first\n") and stamped[:2] == "20"
    assert cli("logs", "--since", "1h", running).out == "first\n"
    assert cli("logs", "--until", "1h", running).out == ""


def test_pause(cli: Any, running: str) -> None:
    cli("pause", running)
    assert status(cli, running).startswith("paused")
    assert cli("exec", running, "true", check=False).code == 1
    cli("unpause", running)
    assert cli("exec", running, "true").code == 0
    cli("pause", running)
    cli("rm", "-f", running)


def test_rename_and_rm(cli: Any, running: str) -> None:
    cli("rename", running, "other")
    refused = cli("rm", "other", check=False)
    assert refused.code == 1 and "running" in refused.err
    cli("rename", "other", running)


@pytest.mark.parametrize("victim", ["supervisor", "monitor"])
def test_killed_supervisor_takes_the_container_along(cli: Any, running: str, root: str, victim: str) -> None:
    container = cli("inspect", "-f", "{{.Id}}", running).out.strip()
    with open(f"{root}/containers/{container}/state.json") as stream:
        state = json.load(stream)
    pid = state["supervisor"]
    if victim == "monitor":
        with open(f"/proc/{pid}/task/{pid}/children") as stream:
            pid = int(stream.read().split()[0])
    os.kill(pid, signal.SIGKILL)
    limit = time.monotonic() + 5
    while os.path.exists(f"/proc/{state['pid']}") and time.monotonic() < limit:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{state['pid']}")
    assert status(cli, running) == "exited 137"
    with open("/proc/mounts") as stream:
        assert container not in stream.read()
    cli("start", running)
    assert status(cli, running) == "running 0"


def test_names_that_are_missing_or_unchanged(cli: Any, running: str) -> None:
    gone = cli("rm", "-f", "nobody-knows-it", check=False)
    assert gone.code == 0 and "no such container: nobody-knows-it" in gone.err
    assert cli("rm", "nobody-knows-it", check=False).code == 1
    same = cli("rename", running, running, check=False)
    assert same.code == 1 and "has this name already" in same.err
    assert cli("rm", check=False).code == 1, "too few words are not a wrong flag"
    assert "is not a command of lxcwrap" in cli("no-such-command", check=False).err
    for words in (["compose", "up"], ["swarm", "init"], ["volume", "update", "x"]):
        absent = cli(*words, check=False)
        assert absent.code == 1 and "is a command of Docker's that lxcwrap" in absent.err
    assert cli("rm", "--nonsense", check=False).code == 125


def test_start_of_what_cannot_be_started(cli: Any, busybox: str) -> None:
    cli("create", "--name", "wrong", busybox, "no-such-command")
    for words in (["start", "wrong"], ["start", "-a", "wrong"]):
        failed = cli(*words, check=False)
        assert failed.code == 1 and 'exec: "no-such-command": executable file not found' in failed.err
    assert cli("inspect", "-f", "{{.State.ExitCode}}", "wrong").out == "127\n"
    cli("rm", "wrong")


def test_killed_client_leaves_a_container_that_goes_on(cli: Any, busybox: str) -> None:
    import subprocess

    process = cli.popen("run", "--name", "orphan", busybox, "sh", "-c", TICKS, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"first\n"
    process.kill()
    process.wait()
    assert status(cli, "orphan") == "running 0"
    cli("rm", "-f", "orphan")


def test_rm_without_a_client(cli: Any, busybox: str) -> None:
    made = cli("run", "-d", "--rm", busybox, "sleep", "0.3").out.strip()
    limit = time.monotonic() + 10
    while made[:12] in cli("ps", "-aq").out and time.monotonic() < limit:
        time.sleep(0.1)
    assert made[:12] not in cli("ps", "-aq").out
