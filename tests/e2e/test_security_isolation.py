"""What a hostile container can reach of other containers and of the host's processes, by trying."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EPERM, ENOENT, ESRCH, EACCES, ECONNREFUSED = 1, 2, 3, 13, 111
KINDS = ("pid", "ipc", "net", "mnt", "uts", "cgroup")
BOTH = pytest.mark.parametrize("users", ["private", "host"])


@pytest.fixture(scope="module", params=["private", "host"])
def pair(request: pytest.FixtureRequest, cli: Any, busybox: str, compiled: Path) -> Iterator[tuple[str, str]]:
    """Two containers with the default protection: the attacker and the victim."""
    names = (f"attacker-{request.param}", f"victim-{request.param}")
    for name in names:
        cli("run", "-d", "--name", name, "--userns", request.param, "-v", f"{compiled}:/c:ro", busybox, "sleep", "600")
    yield names
    cli("rm", "-f", *names)


def tried(cli: Any, name: str, *words: object) -> dict[str, int]:
    return {what: int(said) for what, said in (line.split() for line in cli("exec", name, "/c/probe", *words).lines)}


def test_every_namespace_is_its_own(cli: Any, pair: tuple[str, str]) -> None:
    kinds = KINDS if pair[0].endswith("host") else (*KINDS, "user")
    found: list[set[str]] = []
    for name in pair:
        script = "for n in " + " ".join(kinds) + "; do readlink /proc/self/ns/$n; done"
        links = cli("exec", name, "sh", "-c", script).lines
        assert len(links) == len(kinds)
        assert not set(links) & {os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}
        found.append(set(links))
    assert not found[0] & found[1]


def test_no_process_but_its_own(cli: Any, pair: tuple[str, str]) -> None:
    attacker, victim = pair
    cli("exec", "-d", victim, "sleep", "4321")
    assert "4321" not in cli("exec", attacker, "ps").out
    with subprocess.Popen(["sleep", "600"]) as mine:
        pids = [cli("inspect", "-f", "{{.State.Pid}}", victim).out.strip(), str(mine.pid), str(os.getpid())]
        said = cli("exec", attacker, "/c/probe", "trace", *pids).lines
        mine_still_sleeps = Path(f"/proc/{mine.pid}/stat").read_text().split()[2] == "S"
        mine.kill()
    assert {line.split()[1] for line in said} == {str(ESRCH), str(ENOENT)} and mine_still_sleeps
    assert cli("inspect", "-f", "{{.State.Running}}", victim).out == "true\n"


def test_with_the_hosts_processes_in_sight_none_can_be_traced(cli: Any, busybox: str, compiled: Path) -> None:
    """--pid host shows them all; root without CAP_SYS_PTRACE reaches into none that has more capabilities."""
    with subprocess.Popen(["sleep", "600"]) as mine:
        said = cli("run", "--rm", "--userns", "host", "--pid", "host", "-v", f"{compiled}:/c:ro", busybox, "/c/probe",
                   "trace", mine.pid, check=False).lines  # fmt: skip
        mine.kill()
    found = {line.split()[0]: int(line.split()[1]) for line in said}
    assert found.pop("signal") == 0, "signals are by user (--pid host says so)"
    assert found == {
        "seize": EPERM,
        "attach": EPERM,
        "read": EPERM,
        "pidfd_getfd": EPERM,
        "mem": EACCES,
        "root": EACCES,
    }


def test_another_users_processes_of_the_same_container(cli: Any, pair: tuple[str, str]) -> None:
    said = cli("exec", "-u", "12", pair[0], "/c/probe", "trace", "1").lines
    assert {line.split()[1] for line in said} <= {str(EPERM), str(EACCES)}


def test_memory_semaphores_messages_and_queues(cli: Any, pair: tuple[str, str]) -> None:
    attacker, victim = pair
    assert set(tried(cli, victim, "shared", 4711, "make").values()) == {0}
    assert set(tried(cli, victim, "shared", 4711, "find").values()) == {0}
    assert set(tried(cli, attacker, "shared", 4711, "find").values()) == {ENOENT}
    cli("exec", victim, "touch", "/dev/shm/mine", "/dev/mqueue/own")
    assert cli("exec", attacker, "ls", "/dev/shm", "/dev/mqueue").out.replace("\n", "") == "/dev/mqueue:/dev/shm:"
    done = subprocess.run(["ipcs", "-q", "-m", "-s"], capture_output=True, text=True, check=False)
    assert "0x00001267" not in done.stdout


def test_abstract_sockets(cli: Any, pair: tuple[str, str], compiled: Path) -> None:
    """Those of the network namespace's: liblxc and X servers have some."""
    attacker, victim = pair
    cli("exec", "-d", victim, "/c/probe", "abstract", "of-the-victim", "listen")
    with subprocess.Popen([compiled / "probe", "abstract", "of-the-host", "listen"], stdout=subprocess.PIPE) as host:
        assert host.stdout and host.stdout.readline() == b"bind 0\n"
        deadline = 50
        while "of-the-victim" not in cli("exec", victim, "cat", "/proc/net/unix").out and deadline:
            deadline -= 1
        assert tried(cli, victim, "abstract", "of-the-victim", "connect") == {"connect": 0}
        for name in ("of-the-victim", "of-the-host"):
            assert tried(cli, attacker, "abstract", name, "connect") == {"connect": ECONNREFUSED}
        theirs = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "@/" in line]
        for name in theirs[:5]:
            assert tried(cli, attacker, "abstract", name.lstrip("@"), "connect") == {"connect": ECONNREFUSED}
        host.kill()


def test_raw_netlink_and_sockets(cli: Any, pair: tuple[str, str]) -> None:
    said = tried(cli, pair[0], "netlink", 1)
    assert said["route"] == 0, "anybody may ask"
    assert {said[what] for what in ("down", "vsock", "packet", "raw")} == {EPERM}
    said = tried(cli, pair[0], "netlink", 100000)
    assert said["down"] != 0


def test_the_networks_are_apart(cli: Any, busybox: str, pair: tuple[str, str]) -> None:
    names = cli("exec", pair[0], "ls", "/sys/class/net").out.split()
    assert sorted(names) == ["eth0", "lo"]
    assert cli("run", "--rm", "--network", "none", busybox, "ls", "/sys/class/net").out.split() == ["lo"]


def test_no_file_of_anothers(cli: Any, pair: tuple[str, str]) -> None:
    attacker, victim = pair
    cli("exec", victim, "sh", "-c", "echo theirs >/root/secret; chmod 644 /root/secret")
    place = cli("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", victim).out.strip()
    pid = cli("inspect", "-f", "{{.State.Pid}}", victim).out.strip()
    for path in (f"{place}/root/secret", f"/proc/{pid}/root/root/secret", "/root/secret", "/proc/1/root/root/secret"):
        assert cli("exec", attacker, "cat", path, check=False).out == "", path
    assert cli("exec", attacker, "find", "/", "-xdev", "-name", "secret").out == ""


@BOTH
def test_nothing_is_open_but_the_three_streams(cli: Any, busybox: str, users: str) -> None:
    """A descriptor of the host's directories would be a way out."""
    for flags in ([], ["-t"]):
        shown = cli("run", "--rm", *flags, "--userns", users, busybox, "ls", "-l", "/proc/self/fd").out
        assert set(re.findall(r"(\d+) -> ", shown)) <= {"0", "1", "2", "3"}, "ls has the directory open"
    cli("run", "-d", "--name", "streams", "--userns", users, busybox, "sleep", "60")
    for flags in ([], ["-t"]):
        shown = cli("exec", *flags, "streams", "ls", "-l", "/proc/1/fd", "/proc/self/fd").out
        assert set(re.findall(r"(\d+) -> ", shown)) <= {"0", "1", "2", "3"}
        assert not re.search(r"-> /(var|run|work|usr)/", shown)
    cli("rm", "-f", "streams")


@BOTH
def test_the_hosts_keys_are_not_its_own(cli: Any, busybox: str, compiled: Path, users: str) -> None:
    """Without the filter it may ask for its session's keyring: it has none of the host's (keyrings(7))."""
    flags = ("--userns", users, "--security-opt", "seccomp=unconfined", "-v", f"{compiled}:/c:ro")
    cli("run", "-d", "--name", "keyless", *flags, busybox, "sh", "-c", "/c/probe keyring >/mine; exec sleep 60")
    host = subprocess.run([compiled / "probe", "keyring"], capture_output=True, text=True, check=True).stdout
    shown = [cli("exec", "keyless", "/c/probe", "keyring").out, cli("exec", "keyless", "cat", "/mine").out]
    cli("rm", "-f", "keyless")
    assert host not in shown
