"""What a hostile program in a container can do, by trying; where a race could help it, it races."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.runtime import policy, seccomp

SOURCES = Path(__file__).parent / "inside"
HEADER = Path(f"/usr/include/{os.uname().machine}-linux-gnu/asm/unistd_64.h")
EPERM, ENOSYS, EACCES, ETXTBSY = 1, 38, 13, 26
LOADER = "/lib64/ld-linux-x86-64.so.2"
ROUNDS = 12


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Path:
    """The folder of the compiled programs of ``inside/``."""
    needs("gcc")
    place = tmp_path_factory.mktemp("inside")
    bare = ["-nostdlib", "-ffreestanding", "-static-pie", "-fPIE", "-fno-stack-protector"]
    for name, flags in (("calls", ["-static"]), ("loader", bare)):
        subprocess.run(["gcc", "-O1", *flags, "-o", place / name, SOURCES / f"{name}.c"], check=True)
    return place


def unlisted() -> dict[str, int]:
    """The kernel's system calls that the default allowlist leaves out, by the headers' names and numbers."""
    kept = frozenset(policy.DEFAULT_CAPABILITIES)
    listed = {line.split()[0] for line in seccomp.profile(kept, os.uname().machine).splitlines()[3:]}
    found = re.findall(r"#define __NR_(\w+)\s+(\d+)", HEADER.read_text())
    return {name: int(number) for name, number in found if name not in listed}


@pytest.fixture(scope="module")
def inside(cli: Any, busybox: str, compiled: Path) -> Iterator[str]:
    """A container with the default protection and the program that makes calls."""
    cli("run", "-d", "--name", "inside", busybox, "sleep", "600")
    cli("cp", compiled / "calls", "inside:/calls")
    yield "inside"
    cli("rm", "-f", "inside")


def test_every_call_that_is_not_listed_is_refused(cli: Any, inside: str) -> None:
    if not HEADER.exists():
        pytest.skip("the kernel's headers are not here")
    calls = unlisted()
    for name in ("mount", "keyctl", "add_key", "bpf", "perf_event_open", "kexec_load", "userfaultfd", "init_module",
                 "finit_module", "io_uring_setup", "unshare", "setns", "reboot", "swapon", "request_key"):  # fmt: skip
        assert name in calls
    words = [f"{name}={number}" for name, number in calls.items()]
    said = dict(line.split() for line in cli("exec", inside, "/calls", *words).lines)
    assert {name: said[name] for name in calls if said[name] != str(EPERM)} == {}


def test_the_filter_refuses_not_only_the_missing_capability(cli: Any, busybox: str, compiled: Path) -> None:
    """Without it the same calls come as far as their arguments."""
    calls = ("keyctl=250", "userfaultfd=323", "io_uring_setup=425", "add_key=248")
    if os.uname().machine != "x86_64":
        pytest.skip("numbers of x86_64")
    said = cli("run", "--rm", "--security-opt", "seccomp=unconfined", "-v", f"{compiled}:/c:ro", busybox, "/c/calls",
               *calls).out  # fmt: skip
    assert f" {EPERM}\n" not in said.replace("io_uring_setup 1\n", "").replace("userfaultfd 1\n", "")
    said = cli("run", "--rm", "-v", f"{compiled}:/c:ro", busybox, "/c/calls", *calls).out
    assert said.count(f" {EPERM}\n") == len(calls)


def test_clone3_pretends_to_be_missing(cli: Any, inside: str) -> None:
    assert cli("exec", inside, "/calls", "clone3=435").out == f"clone3 {ENOSYS}\n"


@pytest.mark.parametrize(
    "command",
    [
        "mount -t proc none /mnt",
        "mount -o remount,rw /sys",
        "mount -o bind / /mnt",
        "umount /proc/kcore",
        "insmod /nothing.ko",
        "swapon /dev/null",
        "chroot /proc/1/root unshare -m true",
        "hwclock -w",
        "hostname other",
        "ip link add dummy0 type dummy",
        "mknod /x c 1 1",
        "dmesg -c",
        "reboot -f",
        "pivot_root / /tmp",
        "renice -n -5 1",
        "echo 1 >/proc/sysrq-trigger",
        "echo 0 >/proc/sys/kernel/randomize_va_space",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        "echo x >/proc/sys/kernel/core_pattern",
        "echo 1 >/sys/kernel/mm/ksm/run",
        "echo -1000 >/proc/self/oom_score_adj",
        "mkdir /sys/fs/cgroup/memory/x",
        "echo 1 >/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "cat /dev/mem",
        "cat /dev/kmsg",
        "cat /dev/vda",
        "cat /dev/loop0",
        "echo 0 0 1 >/proc/self/uid_map",
        "cat /proc/kcore",
        "echo a >/sys/fs/cgroup/devices/devices.allow",
    ],
)
def test_refused(cli: Any, inside: str, command: str) -> None:
    result = cli("exec", inside, "sh", "-c", command, check=False)
    assert result.code != 0, result.out


def test_masked_files_are_empty(cli: Any, inside: str) -> None:
    for path in policy.MASKED:
        listing = cli("exec", inside, "sh", "-c", f"test -e {path} || exit 0; cat {path} 2>/dev/null || ls -A {path}")
        assert listing.out == "", path


def test_no_device_but_the_six(cli: Any, inside: str) -> None:
    nodes = cli("exec", inside, "find", "/dev", "-type", "c", "-o", "-type", "b").out.split()
    assert {os.path.basename(node) for node in nodes if not node.startswith("/dev/pts/")} - {"console", "ptmx"} == {
        "null", "zero", "full", "random", "urandom", "tty",
    }  # fmt: skip


@pytest.mark.parametrize("flags", [[], ["--cap-drop", "ALL", "--cap-add", "KILL"], ["--cap-add", "NET_RAW"]])
def test_capabilities_exactly_as_listed(cli: Any, busybox: str, flags: list[str]) -> None:
    added = {flags[at + 1] for at, word in enumerate(flags) if word == "--cap-add"}
    kept = added | (set() if "--cap-drop" in flags else set(policy.DEFAULT_CAPABILITIES))
    expected = sum(1 << number for number, name in enumerate(policy.ALL_CAPABILITIES) if name in kept)
    cli("run", "-d", "--name", "capable", *flags, busybox, "sleep", "60")
    for status in (["exec", "capable", "cat", "/proc/1/status"], ["exec", "capable", "cat", "/proc/self/status"]):
        fields = dict(line.split(":\t") for line in cli(*status).lines if line.startswith("Cap"))
        assert {name: int(fields[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == dict.fromkeys(
            ("CapPrm", "CapEff", "CapBnd"), expected
        )
        assert int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0
    cli("rm", "-f", "capable")


def test_root_inside_is_nobody_outside(cli: Any, busybox: str, inside: str) -> None:
    pid = cli("inspect", "-f", "{{.State.Pid}}", inside).out.strip()
    assert os.stat(f"/proc/{pid}").st_uid > 65535
    cli("run", "-d", "--name", "other", "-v", "kept:/v", busybox, "sleep", "60")
    pids = [cli("inspect", "-f", "{{.State.Pid}}", name).out.strip() for name in (inside, "other")]
    assert os.stat(f"/proc/{pids[0]}").st_uid != os.stat(f"/proc/{pids[1]}").st_uid
    place = cli("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "other").out.strip()
    assert cli("exec", inside, "ls", place, check=False).code != 0
    uid = os.stat(f"/proc/{pids[0]}").st_uid
    for path in (place, f"{cli.root}/volumes/kept"):
        denied = subprocess.run(["ls", path], user=uid, group=uid, extra_groups=[], capture_output=True, check=False)
        assert denied.returncode != 0, "not even on the host, where a setuid program of root's would be root's"
    cli("rm", "-f", "other")


def test_processes_memory_and_network_are_apart(cli: Any, busybox: str, inside: str) -> None:
    cli("run", "-d", "--name", "apart", busybox, "sh", "-c", "touch /dev/shm/mine; exec sleep 4321")
    assert "4321" not in cli("exec", inside, "ps").out
    assert cli("exec", inside, "ls", "/dev/shm").out == ""
    kinds = ("pid", "ipc", "net", "mnt", "uts", "user", "cgroup")
    found: list[set[str]] = []
    for name in (inside, "apart"):
        links = cli(
            "exec", name, "sh", "-c", "for n in " + " ".join(kinds) + "; do readlink /proc/self/ns/$n; done"
        ).lines
        assert not set(links) & {os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}
        found.append(set(links))
    assert not found[0] & found[1]
    pid = cli("inspect", "-f", "{{.State.Pid}}", "apart").out.strip()
    assert cli("exec", inside, "kill", "-9", pid, check=False).code != 0
    assert cli("inspect", "-f", "{{.State.Running}}", "apart").out == "true\n"
    assert "lo" in cli("run", "--rm", "--network", "none", busybox, "ls", "/sys/class/net").out.split()
    cli("rm", "-f", "apart")


def test_others_cannot_be_traced(cli: Any, inside: str) -> None:
    """ptrace(PTRACE_ATTACH, 1) without the right to: by another user of the same container."""
    probe = cli("exec", "-u", "12", inside, "sh", "-c", "readlink /proc/1/root; cat /proc/1/environ", check=False)
    assert probe.code != 0 and probe.out == ""


# --- /proc/self/exe --------------------------------------------------------------------------------------------------

SWAP = (
    "printf '#!/proc/self/exe\\n' >/v/bad; printf '#!/bin/sh\\n' >/v/good; chmod 755 /v/bad /v/good; "
    "while :; do cp -p /v/bad /v/t; mv /v/t /v/evil; cp -p /v/good /v/t; mv /v/t /v/evil; done"
)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the hostile loader is written for x86_64")
@pytest.mark.parametrize("users", ["private", "host"])
def test_the_hosts_programs_cannot_be_overwritten(cli: Any, busybox: str, compiled: Path, users: str) -> None:
    """By exec and by start, against an attacker who changes the command between the look at it and its execution."""
    flags = ("--userns", users, "-v", f"swap{users}:/v")
    cli("run", "-d", "--name", "attacker", *flags, busybox, "sh", "-c", SWAP)
    cli("exec", "attacker", "sh", "-c", "mkdir -p /lib64; touch /result; chmod 666 /result")
    cli("cp", compiled / "loader", f"attacker:{LOADER}")
    cli("commit", "attacker", f"hostile{users}")
    for _ in range(ROUNDS):
        cli("exec", "attacker", "/v/evil", check=False)
    subprocess.run(["sleep", "1"], check=True)
    results = cli("exec", "attacker", "cat", "/result").lines
    for number in range(ROUNDS // 2):
        cli("run", "--name", f"victim{number}", *flags, f"hostile{users}", "/v/evil", check=False)
        results.append(cli("cp", f"victim{number}:/result", "-", check=False).out)
        cli("rm", "-f", f"victim{number}")
    cli("rm", "-f", "attacker")
    for link, opened, written in re.findall(r"(/[\w.:/-]+(?: \(deleted\))?) (\d{3}) (\d{3})", "\n".join(results)):
        if users == "private":
            assert int(opened) == EACCES, (link, opened, written)
        else:
            assert link.startswith("/memfd:"), "a sealed copy"
            assert int(opened) in (ETXTBSY, EACCES) or int(written) == EPERM, (link, opened, written)


def test_an_interpreter_that_leads_out_is_refused(cli: Any, inside: str) -> None:
    cli("exec", inside, "sh", "-c", "printf '#!/proc/self/exe\\n' >/out; ln -sf /proc/self/exe /way; chmod 755 /out")
    for command in ("/out", "/way", "/proc/self/exe", "/proc/1/root/bin/true"):
        result = cli("exec", inside, command, check=False)
        assert result.code in (126, 127), command


# --- links that an attacker swaps ------------------------------------------------------------------------------------


@pytest.fixture
def trap(cli: Any, busybox: str, tmp_path: Path) -> Iterator[Path]:
    """A folder of the host's, and the container ``racer``, in which /swap is now a folder, now a link to it."""
    place = Path("/var/tmp") / f"lxcwrap-trap-{os.getpid()}"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    (place / "secret").write_text("the host's")
    script = (
        f"mkdir -p /d; echo mine >/d/secret; ln -s {place} /l; ln -s / /up; "
        "while :; do mv /d /swap; mv /swap /d; mv /l /swap; mv /swap /l; done"
    )
    cli("run", "-d", "--name", "racer", "-v", "raced:/v", busybox, "sh", "-c", script)
    yield place
    cli("rm", "-f", "racer")
    for left in place.iterdir():
        left.unlink()
    place.rmdir()


def test_cp_is_led_nowhere(cli: Any, trap: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("planted")
    for number in range(ROUNDS):
        cli("cp", tmp_path / "file", f"racer:/swap/planted{number}", check=False)
        assert "the host's" not in cli("cp", "racer:/swap/secret", "-", check=False).out
        assert "the host's" not in cli("cp", "-L", f"racer:/up/{trap}/secret", "-", check=False).out
    assert sorted(path.name for path in trap.iterdir()) == ["secret"]


def test_exec_works_inside_only(cli: Any, trap: Path) -> None:
    for number in range(ROUNDS):
        result = cli("exec", "-w", "/swap", "racer", "sh", "-c", f"touch here{number}; cat secret", check=False)
        assert "the host's" not in result.out
    for path in ("/proc/self/cwd", "/proc/1/cwd", "/proc/self/fd/3", "/proc/self/fd/7"):
        result = cli(
            "exec", "-w", path, "racer", "sh", "-c", f"cat {trap}/secret ./secret ../../..{trap}/secret", check=False
        )
        assert "the host's" not in result.out
    assert sorted(path.name for path in trap.iterdir()) == ["secret"]


def test_volumes_are_mounted_inside_only(cli: Any, busybox: str, trap: Path) -> None:
    race = f"cd /v; mkdir d; ln -s {trap} l; while :; do mv d sub; mv sub d; mv l sub; mv sub l; done"
    cli("run", "-d", "--name", "swapper", "-v", "raced:/v", busybox, "sh", "-c", race)
    for number in range(ROUNDS):
        cli("run", "--rm", "-v", "raced:/v", "-v", "inner:/v/sub", busybox, "sh", "-c", f"touch /v/sub/x{number}",
            check=False)  # fmt: skip
    cli("rm", "-f", "swapper")
    assert sorted(path.name for path in trap.iterdir()) == ["secret"]


def test_logs_and_own_files_are_out_of_reach(cli: Any, trap: Path) -> None:
    """The container holds nothing open but its three streams, and what is mounted for it are plain files."""
    held = cli("exec", "racer", "sh", "-c", "ls -l /proc/1/fd /proc/self/fd").out
    assert not re.search(r"-> /(var|run|work|usr)/", held)
    cli("exec", "racer", "sh", "-c", f"rm -f /etc/hosts /etc/hostname; ln -s {trap}/secret /etc/hosts", check=False)
    cli("restart", "-t", "0", "racer")
    cli("logs", "racer")
    assert (trap / "secret").read_text() == "the host's"
