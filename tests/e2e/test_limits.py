"""Every resource flag: read back from the kernel's own files, and run into by a program."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CGROUP = "/sys/fs/cgroup"
V1 = not os.path.exists(f"{CGROUP}/cgroup.controllers")
only_v1 = pytest.mark.skipif(not V1, reason="cgroup v2 does not have it")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Iterator[str]:
    """A loop device of 16 MB."""
    needs("losetup")
    image = tmp_path_factory.mktemp("disk") / "image"
    image.write_bytes(bytes(16 << 20))
    device = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, check=True, text=True).stdout
    yield device.strip()
    subprocess.run(["losetup", "-d", device.strip()], check=True)


def group_file(cli: Any, name: str, controller: str, file: str) -> str:
    """A file of a container's group, from outside."""
    pid = cli("inspect", "-f", "{{.State.Pid}}", name).out.strip()
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names == (controller if V1 else ""):
            return Path(f"{CGROUP}/{controller if V1 else ''}{path}/{file}").read_text().strip()
    raise AssertionError(controller)


@pytest.mark.parametrize(
    ("flags", "controller", "v1", "v2"),
    [
        (["-m", "32m"], "memory", ("memory.limit_in_bytes", "33554432"), ("memory.max", "33554432")),
        (
            ["--memory-reservation", "16m"],
            "memory", ("memory.soft_limit_in_bytes", "16777216"), ("memory.low", "16777216"),
        ),
        (["-m", "32m", "--memory-swap", "48m"],
         "memory", ("memory.memsw.limit_in_bytes", "50331648"), ("memory.swap.max", "16777216")),
        (["-m", "32m"], "memory", ("memory.memsw.limit_in_bytes", "67108864"), ("memory.swap.max", "33554432")),
        (["-m", "32m", "--memory-swap", "32m"],
         "memory", ("memory.memsw.limit_in_bytes", "33554432"), ("memory.swap.max", "0")),
        (["--memory-swappiness", "7"], "memory", ("memory.swappiness", "7"), None),
        (["--cpus", "0.5"], "cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000")),
        (["--cpu-period", "50000", "--cpu-quota", "10000"],
         "cpu", ("cpu.cfs_quota_us", "10000"), ("cpu.max", "10000 50000")),
        (["--cpu-shares", "512"], "cpu", ("cpu.shares", "512"), ("cpu.weight", "20")),
        (["--cpu-period", "50000", "--cpu-quota", "10000"],
         "cpu", ("cpu.cfs_period_us", "50000"), ("cpu.max", "10000 50000")),
        (["--cpu-rt-period", "500000", "--cpu-rt-runtime", "9000"], "cpu", ("cpu.rt_runtime_us", "9000"), None),
        (["--cpu-rt-period", "500000", "--cpu-rt-runtime", "9000"], "cpu", ("cpu.rt_period_us", "500000"), None),
        (["--cpuset-cpus", "0"], "cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
        (["--cpuset-mems", "0"], "cpuset", ("cpuset.mems", "0"), ("cpuset.mems", "0")),
        (["--pids-limit", "9"], "pids", ("pids.max", "9"), ("pids.max", "9")),
        (["--blkio-weight", "300"], "blkio", ("blkio.bfq.weight", "300"), None),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_the_kernel_has_the_limit(
    cli: Any, busybox: str, flags: list[str], controller: str, v1: tuple[str, str], v2: tuple[str, str] | None
) -> None:
    expected = v1 if V1 else v2
    made = cli("run", "-d", "--name", "limited", *flags, busybox, "sleep", "60", check=expected is not None)
    if expected is None:
        assert made.code == 125 and flags[0] in made.err
        return
    try:
        assert group_file(cli, "limited", controller, expected[0]) == expected[1]
    finally:
        cli("rm", "-f", "limited")


def test_memory_runs_out_and_inspect_says_so(cli: Any, busybox: str) -> None:
    hungry = ("-m", "16m", busybox, "sh", "-c", "tail /dev/zero")
    cli("run", "--name", "hungry", *hungry, check=False)
    state = json.loads(cli("inspect", "hungry").out)[0]["State"]
    assert state["OOMKilled"] is True and state["ExitCode"] == 137
    cli("rm", "hungry")


@only_v1
def test_without_the_killer_a_process_waits_for_memory(cli: Any, busybox: str) -> None:
    greedy = "x=aaaaaaaa; while :; do x=$x$x; done"
    cli("run", "-d", "--name", "patient", "-m", "16m", "--oom-kill-disable", busybox, "sh", "-c", greedy)
    deadline = time.monotonic() + 20
    while "under_oom 1" not in group_file(cli, "patient", "memory", "memory.oom_control"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert cli("inspect", "-f", "{{.State.Status}} {{.HostConfig.OomKillDisable}}", "patient").out == "running true\n"
    cli("rm", "-f", "patient")


def test_processes_run_out(cli: Any, busybox: str) -> None:
    result = cli("run", "--rm", "--pids-limit", "4", busybox, "sh", "-c", "for n in 1 2 3 4 5; do sleep 1 & done",
                 check=False)  # fmt: skip
    assert "can't fork" in result.err


def test_memory_and_swap_run_out_together(cli: Any, busybox: str) -> None:
    """A tmpfs is memory too: what does not fit in both is refused to whoever writes."""
    if V1 and not os.path.exists(f"{CGROUP}/memory/memory.memsw.limit_in_bytes"):
        result = cli("run", "--rm", "-m", "16m", "--memory-swap", "32m", busybox, "true", check=False)
        assert result.code == 125 and "--memory-swap" in result.err
        return
    fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40"
    flags = ("-m", "16m", "--memory-swap", "24m", "--shm-size", "64m")
    cli("run", "--name", "full", *flags, busybox, "sh", "-c", fill, check=False)
    state = json.loads(cli("inspect", "full").out)[0]["State"]
    cli("rm", "full")
    assert state["ExitCode"] != 0 and state["OOMKilled"] is True


def test_shared_memory_runs_out(cli: Any, busybox: str) -> None:
    fill = ("dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=4")
    result = cli("run", "--rm", "--shm-size", "2m", busybox, *fill, check=False)
    assert result.code != 0 and "No space left" in result.err
    cli("run", "--rm", "--shm-size", "8m", busybox, *fill)


MANY = " ".join(["/etc/passwd"] * 80)


@pytest.mark.parametrize(
    ("limit", "script", "said"),
    [
        ("nofile=50:60", f"tail -q -n0 {MANY}", "Too many open files"),
        ("fsize=100000", "dd if=/dev/zero of=/x bs=200000 count=1", ""),
        ("cpu=1", "while :; do :; done", ""),
        ("as=300000000:300000000", "x=aaaaaaaa; while :; do x=$x$x; done", "out of memory"),
        ("nproc=4:4", "for n in 1 2 3 4 5; do sleep 1 & done", "can't fork"),
    ],
    ids=lambda value: value.partition("=")[0][:6],
)
def test_a_program_runs_into_its_ulimit(cli: Any, busybox: str, limit: str, script: str, said: str) -> None:
    result = cli("run", "--rm", "--ulimit", limit, busybox, "sh", "-c", script, check=False, timeout=90)
    assert result.code not in (0, 125, 126, 127) and said in result.err
    if limit.startswith(("nofile", "fsize", "nproc")):
        cli("run", "--rm", busybox, "sh", "-c", script)


@pytest.mark.parametrize("limit", ["nofile=8:8", "fsize=1000", "stack=65536:65536"])
def test_a_ulimit_that_is_too_small_to_start_with(cli: Any, busybox: str, limit: str) -> None:
    """liblxc sets it before it has set the container up, and says but what failed."""
    result = cli("run", "--rm", "--ulimit", limit, busybox, "true", check=False)
    assert result.code == 125 and "is a --ulimit too small?" in result.err
    assert len(result.err.splitlines()) == 1


def test_only_the_named_processors_and_nodes(cli: Any, busybox: str) -> None:
    flags = ("--cpuset-cpus", "0", "--cpuset-mems", "0")
    script = "nproc; grep -E '(Cpus|Mems)_allowed_list' /proc/self/status; taskset -c 0 true; taskset -c 1 true"
    result = cli("run", "--rm", *flags, busybox, "sh", "-c", script, check=False)
    words = result.out.split()
    assert words[0] == "1" and words[2] == "0" and words[4] == "0"
    assert result.code != 0, "the other processor cannot be had by asking for it"


def used(cli: Any, name: str) -> float:
    """Seconds of processor time."""
    text = group_file(cli, name, *(("cpuacct", "cpuacct.usage") if V1 else ("cpu", "cpu.stat")))
    return int(text) / 1e9 if V1 else int(text.split()[1]) / 1e6


@pytest.mark.parametrize(
    "flags", [["--cpus", "0.2"], ["--cpu-period", "50000", "--cpu-quota", "10000"]], ids=["cpus", "quota"]
)
def test_a_quota_is_kept(cli: Any, busybox: str, flags: list[str]) -> None:
    cli("run", "-d", "--name", "slow", *flags, busybox, "sh", "-c", "while :; do :; done")
    before, began = used(cli, "slow"), time.monotonic()
    time.sleep(2)
    share = (used(cli, "slow") - before) / (time.monotonic() - began)
    cli("rm", "-f", "slow")
    assert share < 0.3


def test_shares_of_one_processor(cli: Any, busybox: str) -> None:
    """Eight times the weight is several times the time, whoever else is at work here."""
    for name, shares in (("much", 2048), ("little", 256)):
        cli("run", "-d", "--name", name, "--cpu-shares", shares, "--cpuset-cpus", "0", busybox, "sh", "-c",
            "while :; do :; done")  # fmt: skip
    before = {name: used(cli, name) for name in ("much", "little")}
    time.sleep(4)
    spent = {name: used(cli, name) - before[name] for name in before}
    cli("rm", "-f", "much", "little")
    assert spent["much"] > 3 * spent["little"] > 0, spent


@pytest.mark.parametrize(
    ("flag", "rate", "words"),
    [
        ("--device-read-bps", "1m", "if=DISK of=/dev/null bs=256k count=8 iflag=direct"),
        ("--device-write-bps", "1m", "if=/dev/zero of=DISK bs=256k count=8 oflag=direct"),
        ("--device-read-iops", "10", "if=DISK of=/dev/null bs=4k count=20 iflag=direct"),
        ("--device-write-iops", "10", "if=/dev/zero of=DISK bs=4k count=20 oflag=direct"),
    ],
)
def test_a_disks_rate_is_kept(cli: Any, busybox: str, disk: str, flag: str, rate: str, words: str) -> None:
    """2 MB at 1 MB per second, 20 operations at 10 per second: two seconds, by the container's own clock."""
    clock = "cut -d' ' -f1 /proc/uptime"
    work = (busybox, "sh", "-c", f"{clock}; dd {words.replace('DISK', disk)} || exit 9; {clock}")

    def seconds(*flags: str) -> float:
        before, after = map(float, cli("run", "--rm", "--device", disk, *flags, *work).lines)
        return after - before

    free = seconds()
    slow = seconds(flag, f"{disk}:{rate}")
    assert slow > 1.0 and slow > free


def test_the_weight_of_a_disk(cli: Any, busybox: str, disk: str) -> None:
    """Only the bfq scheduler keeps weights; a loop device may have it."""
    scheduler = Path(f"/sys/block/{os.path.basename(disk)}/queue/scheduler")
    if "bfq" not in scheduler.read_text():
        pytest.skip("this kernel has no bfq for loop devices")
    before = re.findall(r"\[(\S+)\]", scheduler.read_text())[0]
    scheduler.write_text("bfq")
    try:
        cli("run", "-d", "--name", "weighty", "--blkio-weight-device", f"{disk}:200", busybox, "sleep", "60")
        file = ("blkio", "blkio.bfq.weight_device") if V1 else ("io", "io.bfq.weight")
        assert group_file(cli, "weighty", *file).split()[-1] == "200"
    finally:
        cli("rm", "-f", "weighty", check=False)
        scheduler.write_text(before)


def test_rates_are_the_kernels_and_inspects(cli: Any, busybox: str, disk: str) -> None:
    flags = []
    for kind in ("read-bps", "write-bps", "read-iops", "write-iops"):
        flags += [f"--device-{kind}", f"{disk}:{'2m' if kind.endswith('bps') else 33}"]
    cli("run", "-d", "--name", "rated", *flags, busybox, "sleep", "60")
    if V1:
        for kind in ("read_bps", "write_bps", "read_iops", "write_iops"):
            said = group_file(cli, "rated", "blkio", f"blkio.throttle.{kind}_device")
            assert said.endswith(" 2097152" if kind.endswith("bps") else " 33")
    else:
        assert "rbps=2097152 wbps=2097152 riops=33 wiops=33" in group_file(cli, "rated", "io", "io.max")
    wanted = json.loads(cli("inspect", "rated").out)[0]["HostConfig"]
    assert wanted["BlkioDeviceReadBps"] == [{"Path": disk, "Rate": 2097152}]
    assert wanted["BlkioDeviceWriteIOps"] == [{"Path": disk, "Rate": 33}]
    cli("rm", "-f", "rated")


@only_v1
def test_real_time_needs_its_share(cli: Any, debian: str) -> None:
    priority = ("--userns", "host", "--cap-add", "SYS_NICE", debian, "chrt", "-f", "9", "true")
    assert cli("run", "--rm", *priority, check=False).code != 0
    cli("run", "--rm", "--cpu-rt-runtime", "50000", *priority)


def test_ulimits_shared_memory_and_score(cli: Any, busybox: str) -> None:
    script = "ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1; cat /proc/self/oom_score_adj"
    out = cli("run", "--rm", "--ulimit", "nofile=50:60", "--shm-size", "2m", "--oom-score-adj", "321", busybox,
              "sh", "-c", script).out.split()  # fmt: skip
    assert out[:2] == ["50", "60"] and "2048" in out and out[-1] == "321"


def test_a_hard_limit_above_the_hosts(cli: Any, busybox: str) -> None:
    """Root without CAP_SYS_RESOURCE, as in a restricted machine, cannot raise it, and is told so."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    result = cli("run", "--rm", "--ulimit", f"nofile={hard + 1}", busybox, "sh", "-c", "ulimit -n", check=False)
    capabilities = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
    if int(capabilities, 16) >> 24 & 1:
        assert result.out == f"{hard + 1}\n"
    else:
        assert result.code == 125 and f"--ulimit nofile: the hard limit here is {hard}" in result.err


def test_device_rules(cli: Any, busybox: str, disk: str) -> None:
    number = os.minor(os.stat(disk).st_rdev)
    make = (busybox, "sh", "-c", f"mknod /m b 7 {number} && head -c 1 /m")
    flags = ("run", "--rm", "--userns", "host", "--cap-add", "MKNOD")
    assert cli(*flags, *make, check=False).code != 0
    cli(*flags, "--device-cgroup-rule", f"b 7:{number} r", *make)


def test_the_parent_of_the_group(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "child", "--cgroup-parent", "/lxcwrap-tests/inner", "-m", "32m", busybox, "sleep", "60")
    made = [path for path in Path(CGROUP).glob("**/lxcwrap-tests/inner/lxc.payload.*") if path.is_dir()]
    assert made
    cli("rm", "-f", "child")
    assert not any(path.exists() for path in made)
    for path in sorted(Path(CGROUP).glob("**/lxcwrap-tests"), reverse=True):
        for place, _, _ in os.walk(path, topdown=False):
            os.rmdir(place)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--kernel-memory", "1m"], "--kernel-memory is not supported: kernels do not have it"),
        (["--gpus", "all"], "--gpus is not supported: pass the devices with --device"),
        (["--memory-swap", "1m"], "--memory-swap needs --memory"),
        (["-m", "16m", "--memory-swap", "8m"], "--memory-swap is smaller than --memory"),
        (["-m", "1k"], "--memory 1k: the least is 6 MiB"),
        (["--cpus", "4096"], "--cpus 4096: this host has"),
        (["--cpuset-cpus", "4096"], "--cpuset-cpus '4096': not on this host"),
        (["--cpuset-mems", "99"], "--cpuset-mems '99': not on this host"),
        (["--shm-size", "0"], "--shm-size 0: it must be greater than 0"),
        (["--ulimit", "nofile=x"], "invalid ulimit 'nofile=x'"),
        (["--ulimit", "foo=1"], "ulimit 'foo' is not known"),
        (["--storage-opt", "size=1g"], "--storage-opt is not supported: containers share"),
        (["--blkio-weight", "5"], "--blkio-weight 5: a weight is between 10 and 1000"),
        (["--blkio-weight-device", "/dev/no-such:20"], "--blkio-weight-device /dev/no-such: no such device"),
        (["--device-read-bps", "/dev/null:1m"], "--device-read-bps /dev/null: not a block device"),
        (["--device-write-iops", "/dev/sda:many"], "write /dev/sda:100"),
        (["--device-read-bps", "/dev/sda:0"], "not above 0"),
        (["--device-cgroup-rule", "x 1:1 r"], "invalid --device-cgroup-rule"),
        (["--memory-swappiness", "101"], "--memory-swappiness 101: it is between 0 and 100"),
        (["--oom-score-adj", "2000"], "between -1000 and 1000"),
        (["--cpu-period", "10"], "--cpu-period 10: out of range (1000 to 1000000 microseconds)"),
        (["-m", "8m", "--memory-reservation", "9m"], "--memory-reservation is larger"),
        (["--cgroup-parent", "../x"], "--cgroup-parent '../x'"),
        (["--pid", "private"], "--pid 'private': choose host or container:NAME"),
        (["--ipc", "none"], "--ipc 'none'"),
        (["--uts", "x"], "--uts 'x': choose host"),
        (["--uts", "host", "-h", "x"], "exclude each other"),
        (["--cgroupns", "x"], "choose private or host"),
        (["--pid", "host", "--userns", "private"], "--pid host: it does not go with --userns=private"),
        (["--pid", "container:nobody"], "no such container: nobody"),
        (["--ipc", "container:nobody"], "no such container: nobody"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_refused_by_name_before_anything_is_made(cli: Any, busybox: str, flags: list[str], said: str) -> None:
    before = cli("volume", "ls", "-q").out
    result = cli("run", "--rm", "-v", "made:/x", *flags, busybox, "true", check=False)
    assert result.code == 125 and said in result.err, result.err
    assert len(result.err.splitlines()) == 1
    assert cli("ps", "-aq").out == "" and cli("volume", "ls", "-q").out == before


def test_a_disk_without_weights_is_refused_by_name(cli: Any, busybox: str, disk: str) -> None:
    scheduler = Path(f"/sys/block/{os.path.basename(disk)}/queue/scheduler").read_text()
    if "[bfq]" in scheduler:
        pytest.skip("the loop device's scheduler keeps weights")
    result = cli("run", "--rm", "--blkio-weight-device", f"{disk}:100", busybox, "true", check=False)
    assert result.code == 125 and "--blkio-weight-device: the kernel refuses" in result.err
    assert not list(Path(CGROUP).glob("**/lxcwrap.probe*"))


@pytest.mark.parametrize(
    ("kind", "flag"), [("pid", "--pid"), ("ipc", "--ipc"), ("uts", "--uts"), ("cgroup", "--cgroupns")]
)
def test_the_hosts_namespaces(cli: Any, busybox: str, kind: str, flag: str) -> None:
    link = ("readlink", f"/proc/self/ns/{kind}")
    assert cli("run", "--rm", flag, "host", busybox, *link).out.strip() == os.readlink(f"/proc/self/ns/{kind}")
    assert cli("run", "--rm", busybox, *link).out.strip() != os.readlink(f"/proc/self/ns/{kind}")


def test_only_what_the_container_left_is_killed(cli: Any, busybox: str) -> None:
    """Its init may have ended before the supervisor can look at it, and is in the host's root groups then."""
    with subprocess.Popen(["sleep", "600"]) as bystander:
        for _ in range(15):
            cli("run", "--rm", "--pid", "host", busybox, "true")
        for _ in range(5):
            cli("run", "--rm", "--pid", "host", busybox, "sh", "-c", "setsid sleep 7153 &")
        assert bystander.poll() is None
        bystander.kill()
    found = subprocess.run(["pgrep", "-f", "sleep 7153"], capture_output=True, text=True)
    assert found.stdout == "", "what the containers left behind went with them"


def test_another_containers_memory_and_processes(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "first", "--userns", "host", "--ipc", "shareable", busybox, "sh", "-c",
        "echo shared >/dev/shm/x; exec sleep 60")  # fmt: skip
    assert cli("run", "--rm", "--ipc", "container:first", busybox, "cat", "/dev/shm/x").out == "shared\n"
    cli("run", "-d", "--name", "second", "--pid", "container:first", busybox, "sh", "-c", "sleep 654 & exec sleep 655")
    time.sleep(0.3)
    assert "sleep 655" in cli("exec", "first", "ps").out
    cli("rm", "-f", "second")
    assert "sleep 65" not in cli("exec", "first", "ps").out, "what it left behind went with it"
    cli("rm", "-f", "first")


def test_only_what_can_be_joined_is_joined(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "apart", busybox, "sleep", "60")
    cli("run", "-d", "--name", "alone", "--userns", "host", "--ipc", "private", busybox, "sleep", "60")
    for flags, said in (
        (["--pid", "container:apart"], "it has a user namespace of its own"),
        (["--ipc", "container:alone"], "its IPC namespace is private"),
    ):
        result = cli("run", "--rm", *flags, busybox, "true", check=False)
        assert result.code == 125 and said in result.err
    cli("rm", "-f", "apart", "alone")
