"""``security``: what it says of a container is what the kernel does with it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest


def report(cli: Any, name: str) -> tuple[dict[str, Any], dict[str, tuple[bool, str]]]:
    document = json.loads(cli("security", "--format", "json", name).out)[0]
    return document, {each["topic"]: (each["protects"], each["text"]) for each in document["findings"]}


def test_the_defaults_as_the_kernel_says(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "plain", busybox, "sleep", "60")
    document, topics = report(cli, "plain")
    pid = cli("inspect", "-f", "{{.State.Pid}}", "plain").out.strip()
    outside = Path(f"/proc/{pid}/uid_map").read_text().split()[1]
    assert (document["status"], document["source"]) == ("running", "kernel")
    assert topics["User namespace"][0] and f"the host's id {outside} " in topics["User namespace"][1]
    assert topics["Capabilities"][0] and topics["Capabilities"][1].startswith("11 of ")
    protecting = ("System calls", "Kernel files", "Devices", "Network", "Other namespaces", "Host's files")
    assert all(topics[topic][0] for topic in protecting)
    assert not topics["New privileges"][0] and not topics["Root file system"][0] and not topics["Limits"][0]
    words = cli("security", "plain").out
    assert words.startswith("plain (running), as the kernel says\n  What protects:\n    User namespace")
    cli("rm", "-f", "plain")


def test_what_was_opened_is_named(cli: Any, busybox: str, tmp_path: Path) -> None:
    cli("run", "-d", "--name", "open", "--userns", "host", "--cap-add", "SYS_ADMIN", "--pid", "host",
        "--network", "host", "--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined",
        "--device", "/dev/loop-control", "-v", f"{tmp_path}:/w", "-v", "/etc:/r:ro",
        busybox, "sleep", "60")  # fmt: skip
    _, topics = report(cli, "open")
    assert topics["User namespace"] == (False, "none: root in the container is root on the host")
    assert not topics["Capabilities"][0] and "SYS_ADMIN can be turned against" in topics["Capabilities"][1]
    assert not topics["System calls"][0] and not topics["Network"][0]
    assert not topics["Kernel files"][0] and "/proc/sys" in topics["Kernel files"][1]
    assert topics["Devices"] == (False, "besides the usual six: /dev/loop-control (rwm)")
    assert topics["Other namespaces"] == (False, "sees the host's processes")
    lines = cli("security", "open").lines
    assert f"    Host's files      can be written to: {tmp_path} at /w" in lines
    assert "    Host's files      can be read: /etc at /r" in lines
    cli("rm", "-f", "open")


def test_a_privileged_and_a_sealed_one_before_they_run(cli: Any, busybox: str) -> None:
    cli("create", "--name", "mighty", "--privileged", busybox)
    cli("create", "--name", "sealed", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--network", "none", "-m", "32m", "--pids-limit", "9", "--cpus", "0.5", busybox)  # fmt: skip
    document, topics = report(cli, "mighty")
    assert document["source"] == "configuration" and "Privileged" in topics
    for topic in ("User namespace", "Capabilities", "System calls", "Kernel files", "Devices"):
        assert not topics[topic][0]
    _, topics = report(cli, "sealed")
    assert {topic for topic, (protects, _) in topics.items() if not protects} <= {"AppArmor"}
    assert topics["Capabilities"] == (True, "none at all")
    cli("rm", "mighty", "sealed")


def test_a_read_only_root_and_privileges_of_a_running_one(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "shut", "--read-only", "--security-opt", "no-new-privileges", busybox, "sleep", "60")
    _, topics = report(cli, "shut")
    assert topics["Root file system"] == (True, "read-only") and topics["New privileges"][0]
    cli("rm", "-f", "shut")
    missing = cli("security", "shut", check=False)
    assert missing.code == 1 and missing.err == "lxcwrap: no such container: shut\n"


# --- each statement beside the kernel's own files ---------------------------------------------------------------------

CONFIGURATIONS: dict[str, list[str]] = {
    "default": [],
    "privileged": ["--privileged"],
    "cap-add ALL": ["--cap-add", "ALL"],
    "cap-add ALL as root": ["--cap-add", "ALL", "--userns", "host"],
    "cap-drop ALL": ["--cap-drop", "ALL"],
    "no seccomp": ["--security-opt", "seccomp=unconfined"],
    "no AppArmor": ["--security-opt", "apparmor=unconfined"],
    "no masks": ["--security-opt", "systempaths=unconfined", "--userns", "host"],
    "no-new-privileges": ["--security-opt", "no-new-privileges"],
    "userns host": ["--userns", "host"],
    "pid host": ["--pid", "host"],
    "network host": ["--network", "host"],
    "network none": ["--network", "none"],
    "ipc and uts host": ["--ipc", "host", "--uts", "host"],
    "cgroupns host": ["--cgroupns", "host"],
    "the host's root": ["-v", "/:/host"],
    "the host's root, read-only": ["-v", "/:/host:ro"],
    "device": ["--device", "/dev/loop-control"],
    "read-only": ["--read-only", "--tmpfs", "/tmp"],
    "limits": ["-m", "64m", "--pids-limit", "50", "--cpus", "0.5"],
    "several": ["--network", "host", "--pid", "host", "--cap-add", "SYS_PTRACE", "--cap-add", "NET_ADMIN"],
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_it_says_is_so(cli: Any, busybox: str, name: str) -> None:
    cli("run", "-d", "--name", "asked", *CONFIGURATIONS[name], busybox, "sleep", "60")
    try:
        document, topics = report(cli, "asked")
        assert document["source"] == "kernel"
        pid = cli("inspect", "-f", "{{.State.Pid}}", "asked").out.strip()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        mine = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        outside, count = (int(word) for word in Path(f"/proc/{pid}/uid_map").read_text().split()[1:3])
        assert topics["User namespace"][0] is (outside > 0 and count == 65536)
        kept, most = int(status["CapBnd"], 16), int(mine["CapBnd"], 16)
        everything = kept.bit_count() >= most.bit_count()  # a user namespace has those too that its maker lacks
        assert topics["Capabilities"][1].startswith("all of them") is everything
        if not everything:
            assert topics["Capabilities"][1].split()[0] == (str(kept.bit_count()) if kept else "none")
        assert topics["System calls"][0] is (status["Seccomp"].strip() == "2")
        assert topics["New privileges"][0] is (status["NoNewPrivs"].strip() == "1")
        shared = {kind for kind in ("net", "pid", "ipc", "uts", "cgroup") if is_hosts(pid, kind)}
        assert ("host's own" in topics["Network"][1]) is ("net" in shared)
        words = {"pid": "processes", "ipc": "shared memory", "uts": "host name", "cgroup": "control groups"}
        for kind, word in words.items():
            assert (not topics["Other namespaces"][0] and word in topics["Other namespaces"][1]) is (kind in shared)
        inside = ("exec", "asked", "sh", "-c")
        writes = cli(*inside, "echo 60 >/proc/sys/vm/swappiness", check=False).code == 0
        assert not (topics["Kernel files"][0] and writes)
        assert topics["Root file system"][0] is (cli(*inside, ": >/written", check=False).code != 0)
        makes = cli(*inside, "mknod /dev/probe c 10 229 && head -c 0 /dev/probe", check=False).code == 0
        assert not (topics["Devices"][0] and makes)
    finally:
        cli("rm", "-f", "asked")


def is_hosts(pid: str, kind: str) -> bool:
    return os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")


DANGERS: list[tuple[list[str], str]] = [
    (["--privileged"], "its root is the host's for every purpose"),
    (["-v", "/:/host"], "/ of the host can be written to: that is enough to become root there"),
    (["-v", "/etc:/host:ro"], "/etc of the host can be read, with the passwords and keys in it"),
    (["--pid", "host"], "sees the host's processes as root: it can end each of them"),
    (["--pid", "host", "--cap-add", "SYS_PTRACE"], "and read and change what they hold (SYS_PTRACE)"),
    (["--network", "host", "--userns", "host", "--cap-add", "NET_ADMIN"], "change the host's addresses, routes"),
    (["--network", "host", "--userns", "host", "--cap-add", "NET_RAW"], "read and forge what the host sends"),
    (["--userns", "host", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"], "no system call filter"),
    (["--userns", "host", "--security-opt", "systempaths=unconfined"], "kernel.core_pattern names a program"),
    (["--device-cgroup-rule", "b *:* rwm"], "covers every disk of the host"),
]


@pytest.mark.parametrize(("flags", "said"), DANGERS, ids=lambda value: "".join(value[:9]))
@pytest.mark.parametrize("running", [True, False], ids=["running", "created"])
def test_dangers_are_named(cli: Any, busybox: str, flags: list[str], said: str, running: bool) -> None:
    verb = ("run", "-d") if running else ("create",)
    cli(*verb, "--name", "dangerous", *flags, busybox, "sleep", "60")
    lines = [line for line in cli("security", "dangerous").lines if line.startswith("    Danger ")]
    cli("rm", "-f", "dangerous")
    assert any(said in line for line in lines), lines


def test_the_dangers_are_real(cli: Any, busybox: str, tmp_path: Path) -> None:
    """A directory of the host's is written to as its root, whatever user namespace the container has."""
    cli("run", "--rm", "-v", f"{tmp_path}:/host", busybox, "sh", "-c", "touch /host/made; chmod 4755 /host/made")
    made = (tmp_path / "made").stat()
    assert (made.st_uid, made.st_mode & 0o7777) == (0, 0o4755)


def test_a_socket_and_a_disk_are_dangers(cli: Any, busybox: str, tmp_path: Path) -> None:
    engine, other = tmp_path / "docker.sock", tmp_path / "other"
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(str(engine))
        second.bind(str(other))
        cli("create", "--name", "asking", "-v", f"{engine}:/run/docker.sock", "-v", f"{other}:/run/other", busybox)
        shown = cli("security", "asking").out
        cli("rm", "asking")
    assert f"{engine}: by that socket it can start containers" in shown
    assert f"{other}: it can ask whatever listens on that socket" in shown
    disk = next((path for path in map(str, Path("/dev").iterdir()) if Path(path).is_block_device()), "")
    if disk:
        cli("create", "--name", "with-disk", "--device", f"{disk}:/dev/disk:r", busybox)
        assert f"{disk}: every file on that disk can be read, whoever" in cli("security", "with-disk").out
        cli("rm", "with-disk")


def test_the_default_has_no_danger(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "calm", busybox, "sleep", "60")
    assert "Danger" not in cli("security", "calm").out
    cli("rm", "-f", "calm")
