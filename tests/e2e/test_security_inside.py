"""What a hostile program in a container can do to the kernel, by trying, in a user namespace and without."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.runtime import policy, seccomp

HEADERS = Path(f"/usr/include/{os.uname().machine}-linux-gnu/asm")
EPERM, ENOSYS = 1, 38
LAST = 520  # beyond what any kernel has by now
LATER = {  # newer than some headers (linux 6.5 to 6.17); above 402 every architecture has the same
    "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460,
    "lsm_list_modules": 461, "mseal": 462, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465,
    "removexattrat": 466, "open_tree_attr": 467, "file_getattr": 468, "file_setattr": 469, "uretprobe": 335,
}  # fmt: skip
UNFILTERED = {
    335,
    336,
}  # uretprobe, uprobe: linux lets them past every filter, and they fail outside of its trampolines
BOTH = pytest.mark.parametrize("users", ["private", "host"])
only_x86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")


def listed() -> set[str]:
    """The names on the default allowlist, those that are allowed with some arguments only too."""
    kept = frozenset(policy.DEFAULT_CAPABILITIES)
    return {line.split()[0] for line in seccomp.profile(kept, os.uname().machine).splitlines()[3:]}


def numbers(header: str) -> dict[str, int]:
    """Of one architecture's system calls, by name."""
    if not (HEADERS / header).exists():
        pytest.skip("the kernel's headers are not here")
    found = re.findall(r"#define __NR_(\w+)\s+(\d+)", (HEADERS / header).read_text())
    later = {name: number for name, number in LATER.items() if number > 402 or not header.endswith("32.h")}
    return {**later, **{name: int(number) for name, number in found}}


def unlisted(header: str) -> list[int]:
    """Every number that is no listed call's, whether a call has it or not."""
    allowed = {number for name, number in numbers(header).items() if name in listed()}
    passed = set() if header.endswith("32.h") else UNFILTERED
    return [number for number in range(LAST) if number not in allowed | passed]


def answers(out: str) -> dict[int, int]:
    return {int(number): int(said) for number, said in (line.split() for line in out.splitlines())}


@pytest.fixture(scope="module", params=["private", "host"])
def inside(request: pytest.FixtureRequest, cli: Any, busybox: str, compiled: Path) -> Iterator[str]:
    """A container with the default protection, once without a user namespace, and the programs that try."""
    name = f"inside-{request.param}"
    cli("run", "-d", "--name", name, "--userns", request.param, busybox, "sleep", "600")
    for program in ("calls", "probe"):
        cli("cp", compiled / program, f"{name}:/{program}")
    yield name
    cli("rm", "-f", name)


# --- system calls ----------------------------------------------------------------------------------------------------


@only_x86
def test_every_number_that_is_not_listed_is_refused(cli: Any, inside: str) -> None:
    calls = numbers("unistd_64.h")
    tried = unlisted("unistd_64.h")
    for name in ("mount", "keyctl", "add_key", "bpf", "perf_event_open", "kexec_load", "userfaultfd", "init_module",
                 "finit_module", "io_uring_setup", "unshare", "setns", "reboot", "swapon", "request_key",
                 "open_tree_attr", "lsm_set_self_attr"):  # fmt: skip
        assert calls[name] in tried
    said = answers(cli("exec", inside, "/calls", "64", *tried).out)
    assert {number: said[number] for number in tried if said[number] != EPERM} == {}


@only_x86
def test_nor_by_the_calls_of_other_architectures(cli: Any, inside: str) -> None:
    """The same kernel listens to int 0x80 and to x32, with numbers of their own."""
    tried = unlisted("unistd_32.h")
    calls = numbers("unistd_32.h")
    assert calls["mount"] in tried and calls["keyctl"] in tried
    said = answers(cli("exec", inside, "/calls", "32", *tried).out)
    assert {number: said[number] for number in tried if said[number] not in (EPERM, ENOSYS)} == {}
    tried = unlisted("unistd_64.h")
    said = answers(cli("exec", inside, "/calls", "x32", *tried).out)
    assert {number: said[number] for number in tried if said[number] not in (EPERM, ENOSYS)} == {}


@only_x86
@BOTH
def test_the_containers_first_process_has_the_same_filter(cli: Any, busybox: str, compiled: Path, users: str) -> None:
    """liblxc makes it, and an exec's is made by us."""
    run = ("run", "--rm", "--userns", users, "-v", f"{compiled}:/c:ro", busybox, "/c/calls")
    tried = unlisted("unistd_64.h")
    said = answers(cli(*run, "64", *tried).out)
    assert {number: said[number] for number in tried if said[number] != EPERM} == {}
    tried = unlisted("unistd_32.h")
    said = answers(cli(*run, "32", *tried).out)
    assert {number: said[number] for number in tried if said[number] not in (EPERM, ENOSYS)} == {}


@only_x86
def test_the_filter_refuses_not_only_the_missing_capability(cli: Any, busybox: str, compiled: Path) -> None:
    """Without it the same calls come as far as their arguments."""
    calls = (250, 323, 425, 248)  # keyctl userfaultfd io_uring_setup add_key
    run = ("run", "--rm", "-v", f"{compiled}:/c:ro")
    said = answers(cli(*run, "--security-opt", "seccomp=unconfined", busybox, "/c/calls", "64", *calls).out)
    assert said[250] != EPERM and said[248] != EPERM
    assert answers(cli(*run, busybox, "/c/calls", "64", *calls).out) == dict.fromkeys(calls, EPERM)


def test_calls_that_depend_on_their_arguments(cli: Any, inside: str) -> None:
    said = cli("exec", inside, "/probe", "flags").lines
    assert said == [*[f"clone {EPERM}"] * 7, f"personality {EPERM}", f"clone3 {ENOSYS}"], (
        "namespaces, ADDR_NO_RANDOMIZE"
    )


# --- files of the kernel ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "mount -t proc none /mnt",
        "mount -o remount,rw /sys",
        "mount -o remount,rw /proc/sys",
        "mount -o bind / /mnt",
        "umount /proc/kcore",
        "umount /sys/firmware",
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
        "mkdir /sys/fs/cgroup/x",
        "touch /sys/fs/cgroup/x",
        "echo 1 >/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "echo 1 >/sys/fs/cgroup/memory/cgroup.procs",
        "echo /x >/sys/fs/cgroup/memory/release_agent",
        "cat /dev/mem",
        "cat /dev/kmsg",
        "cat /dev/vda",
        "cat /dev/loop0",
        "echo 0 0 1 >/proc/self/uid_map",
        "cat /proc/kcore",
        "echo a >/sys/fs/cgroup/devices/devices.allow",
        "cat /proc/1/root/proc/1/root/etc/shadow-of-the-host",
    ],
)
def test_refused(cli: Any, inside: str, command: str) -> None:
    result = cli("exec", inside, "sh", "-c", command, check=False)
    assert result.code != 0, result.out


@BOTH
@pytest.mark.parametrize("more", [(), ("--network", "host")], ids=["", "host network"])
def test_nothing_of_the_kernels_can_be_written(cli: Any, busybox: str, users: str, more: tuple[str, ...]) -> None:
    """Every file of /proc/sys and /sys, and of a few other places, opened for writing; and their directories."""
    script = (
        "for f in $(find /proc/sys /proc/irq /proc/bus /proc/fs /sys -xdev -type f; find /sys/fs/cgroup -type f); do"
        " (: >>$f) 2>/dev/null && echo $f; done; "
        "for d in $(find /sys/fs/cgroup -type d) /sys /proc/sys; do mkdir $d/made 2>/dev/null && echo $d; done"
    )
    found = cli("run", "--rm", "--userns", users, *more, busybox, "sh", "-c", script, check=False, timeout=120)
    assert found.lines == []


def test_masked_files_are_empty(cli: Any, inside: str) -> None:
    for path in policy.MASKED:
        listing = cli("exec", inside, "sh", "-c", f"test -e {path} || exit 0; cat {path} 2>/dev/null || ls -A {path}")
        assert listing.out == "", path


def test_masks_are_not_the_hosts_to_change(cli: Any, inside: str) -> None:
    """A masked file shows the host's /dev/null: whoever is root could give it another mode, and that for everybody."""
    before = os.stat("/dev/null")
    for path in [path for path in policy.MASKED if os.path.isfile(path)]:
        result = cli("exec", inside, "touch", "-d", "2001-02-03 04:05", path, check=False)
        assert result.code != 0, path
        assert os.stat("/dev/null").st_mtime == before.st_mtime
    for node in ("null", "zero", "tty"):
        cli("exec", inside, "sh", "-c", f"touch -d '2001-02-03 04:05' /dev/{node}", check=False)
        assert os.stat(f"/dev/{node}").st_mtime > 1_000_000_000


# --- devices ---------------------------------------------------------------------------------------------------------


def test_no_device_but_the_six(cli: Any, inside: str) -> None:
    nodes = cli("exec", inside, "find", "/dev", "-type", "c", "-o", "-type", "b").out.split()
    assert {os.path.basename(node) for node in nodes if not node.startswith("/dev/pts/")} - {"console", "ptmx"} == {
        "null", "zero", "full", "random", "urandom", "tty",
    }  # fmt: skip


def device_words() -> list[str]:
    """Every driver of this kernel's with its first two numbers, as ``c MAJOR MINOR``."""
    words, kind = [], "c"
    for line in Path("/proc/devices").read_text().splitlines():
        if line.startswith("Block"):
            kind = "b"
        elif line and line.split()[0].isdigit():
            words += [word for minor in (0, 1) for word in (kind, line.split()[0], str(minor))]
    return [*words, "c", "1", "2", "c", "1", "4", "c", "1", "11", "c", "10", "229", "c", "10", "237"]


@BOTH
def test_no_node_opens_another_device(cli: Any, busybox: str, compiled: Path, users: str) -> None:
    """mknod is refused; with the capability for it, which makes nodes without a user namespace, opening them is."""
    run = ("run", "--rm", "--userns", users, "-v", f"{compiled}:/c:ro")
    words = device_words()
    said = cli(*run, busybox, "/c/probe", "device", *words).lines
    assert said == [f"mknod {EPERM}"] * (len(words) // 3)
    said = cli(*run, "--cap-add", "MKNOD", busybox, "/c/probe", "device", *words).lines
    harmless = {("c", "5", "0")}
    opened = [line for line in said if line.startswith("open")]
    if users == "host":
        tried = [tuple(words[at : at + 3]) for at in range(0, len(words), 3)]
        through = {what for what, line in zip(tried, opened, strict=True) if line == "open 0"}
        assert not through - harmless, "the terminal that a process has, if any"
    else:
        assert opened == []


@BOTH
def test_a_node_in_an_image_is_not_the_hosts_console(cli: Any, busybox: str, users: str, tmp_path: Path) -> None:
    """Images have /dev/console; outside of /dev nothing is mounted over it."""
    cli("create", "--name", "plain", busybox)
    cli("export", "-o", tmp_path / "tar", "plain")
    cli("rm", "plain")
    with tarfile.open(tmp_path / "tar", "a") as archive:
        node = tarfile.TarInfo("node")
        node.type, node.devmajor, node.devminor, node.mode = tarfile.CHRTYPE, 5, 1, 0o666
        archive.addfile(node, io.BytesIO())
    cli("import", tmp_path / "tar", f"node-{users}")
    opened = cli("run", "--rm", "--userns", users, f"node-{users}", "sh", "-c", ": </node", check=False, timeout=20)
    assert opened.code != 0 and "Operation not permitted" in opened.err


@BOTH
def test_an_added_devices_node_is_the_containers_own(cli: Any, busybox: str, users: str) -> None:
    before = os.stat("/dev/loop-control")
    script = "touch -d '2001-02-03 04:05' /dev/control && stat -c '%t:%T %a' /dev/control"
    shown = cli(
        "run", "--rm", "--userns", users, "--device", "/dev/loop-control:/dev/control", busybox, "sh", "-c", script
    )
    assert shown.out == f"a:ed {before.st_mode & 0o777:o}\n"
    now = os.stat("/dev/loop-control")
    assert (now.st_mtime, now.st_mode, now.st_uid) == (before.st_mtime, before.st_mode, before.st_uid)


# --- capabilities and users ------------------------------------------------------------------------------------------

SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def sets(status: str) -> dict[str, int]:
    return {name: int(value, 16) for name, value in re.findall(r"^(Cap\w+):\s+(\w+)$", status, re.MULTILINE)}


@BOTH
@pytest.mark.parametrize("user", ["", "12:34"])
@pytest.mark.parametrize("flags", [[], ["--cap-drop", "ALL", "--cap-add", "KILL"], ["--cap-add", "NET_RAW"]])
def test_capabilities_exactly_as_listed(cli: Any, busybox: str, users: str, user: str, flags: list[str]) -> None:
    """All five sets, of the first process and of an exec's, of root and of another user."""
    added = {flags[at + 1] for at, word in enumerate(flags) if word == "--cap-add"}
    kept = added | (set() if "--cap-drop" in flags else set(policy.DEFAULT_CAPABILITIES))
    bounding = sum(1 << number for number, name in enumerate(policy.ALL_CAPABILITIES) if name in kept)
    own = 0 if user else bounding
    expected = {"CapInh": 0, "CapPrm": own, "CapEff": own, "CapBnd": bounding, "CapAmb": 0}
    as_user = ["-u", user] if user else []
    cli("run", "-d", "--name", "capable", "--userns", users, *as_user, *flags, busybox, "sleep", "60")
    try:
        assert sets(cli("exec", "capable", "cat", "/proc/1/status").out) == expected
        for exec_flags in ([], ["-d"], ["-t"]):
            script = "cat /proc/self/status >/tmp/said; chmod 666 /tmp/said"
            cli("exec", "-u", "0", "capable", "rm", "-f", "/tmp/said")
            cli("exec", *exec_flags, *as_user, "capable", "sh", "-c", script)
            read = "while ! test -s /tmp/said; do usleep 10000; done; usleep 20000; cat /tmp/said"
            assert sets(cli("exec", "capable", "sh", "-c", read).out) == expected
    finally:
        cli("rm", "-f", "capable")


@BOTH
def test_what_the_caller_could_inherit_is_not_passed_on(cli: Any, busybox: str, users: str) -> None:
    """The inheritable and ambient sets of whoever types the command (capabilities(7))."""
    mighty = ["setpriv", "--inh-caps", "+net_raw,+sys_ptrace", "--ambient-caps", "+net_raw,+sys_ptrace"]
    default = sum(1 << policy.ALL_CAPABILITIES.index(name) for name in policy.DEFAULT_CAPABILITIES)
    expected = {"CapInh": 0, "CapPrm": default, "CapEff": default, "CapBnd": default, "CapAmb": 0}

    def said(*words: str) -> dict[str, int]:
        argv = [*mighty, *cli.argv(*words)]
        done = subprocess.run(argv, capture_output=True, text=True, env=cli.environment, check=True, timeout=60)
        return sets(done.stdout)

    status = ("cat", "/proc/self/status")
    assert said("run", "--rm", "--userns", users, busybox, *status) == expected
    said("run", "-d", "--name", "heir", "--userns", users, busybox, "sleep", "60")
    assert said("exec", "heir", "cat", "/proc/1/status") == expected
    assert said("exec", "heir", *status) == expected
    assert said("exec", "-u", "7", "heir", *status) == {**expected, "CapPrm": 0, "CapEff": 0}
    cli("rm", "-f", "heir")


@pytest.mark.parametrize("user", ["fraction", "endless", "digits", "minus"])
def test_ids_that_are_none_in_an_images_passwd(cli: Any, busybox: str, user: str) -> None:
    """They end nobody's supervisor, and nobody becomes root by them."""
    lines = f"root:x:0:0::/:/bin/sh\nfraction:x:²:0::/:\nendless:x:{'9' * 5000}:0::/:\n"
    lines += "digits:x:99999999999999999999:0::/:\nminus:x:4294967295:4294967295::/:\n"
    cli("run", "-d", "--name", "odd", "--userns", "host", busybox, "sleep", "60")
    cli("exec", "-i", "odd", "sh", "-c", "cat >/etc/passwd", input=lines.encode())
    result = cli("exec", "-u", user, "odd", "id", check=False)
    still = cli("exec", "odd", "id", "-u", check=False).out
    cli("rm", "-f", "odd")
    assert result.code == 126 and f"unable to find user {user}" in result.err
    assert still == "0\n", "it still runs"


def test_root_inside_is_nobody_outside(cli: Any, busybox: str) -> None:
    for name in ("one", "other"):
        cli("run", "-d", "--name", name, "-v", f"kept-{name}:/v", busybox, "sleep", "60")
    pids = [cli("inspect", "-f", "{{.State.Pid}}", name).out.strip() for name in ("one", "other")]
    owners = [os.stat(f"/proc/{pid}").st_uid for pid in pids]
    assert min(owners) > 65535 and owners[0] != owners[1]
    place = cli("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "other").out.strip()
    assert cli("exec", "one", "ls", place, check=False).code != 0
    for path in (place, f"{cli.root}/volumes/kept-other", f"{cli.root}/containers", f"{cli.root}/layers"):
        denied = subprocess.run(["ls", path], user=owners[0], group=owners[0], extra_groups=[], capture_output=True)
        assert denied.returncode != 0, "not even on the host, where a setuid program of root's would be root's"
    cli("rm", "-f", "one", "other")
