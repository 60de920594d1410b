"""``update``: the kernel's own files, what is stored, and what the supervisor does afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lxcwrap.kernel import cgroup


@pytest.fixture
def box(cli: Any, busybox: str) -> Iterator[str]:
    cli(
        "run",
        "-d",
        "--name",
        "box",
        "--memory",
        "64m",
        busybox,
        "sh",
        "-c",
        "trap 'exit 3' TERM; while :; do sleep 0.05; done",
    )
    yield "box"
    cli("rm", "-f", "box", check=False)


def kernel(cli: Any, *names: str) -> str:
    """The first of these files that the container's cgroups have."""
    pid, identity = cli("inspect", "-f", "{{.State.Pid}} {{.Id}}", "box").out.split()
    group = cgroup.find(int(pid), identity)
    for name in names:
        path = f"{group.of(name.partition('.')[0])}/{name}"
        if os.path.exists(path):
            with open(path) as stream:
                return stream.read().strip()
    raise AssertionError(names)


def limits(cli: Any) -> tuple[str, str]:
    return kernel(cli, "memory.max", "memory.limit_in_bytes"), kernel(cli, "pids.max")


def test_limits_change_at_once_and_stay(cli: Any, box: str) -> None:
    for memory in ("128m", "48m", "256m"):  # up and down
        cli("update", "--memory", memory, "--pids-limit", "77", "--cpus", "0.5", box)
        assert limits(cli) == (str(int(memory[:-1]) << 20), "77")
    assert kernel(cli, "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    form = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}"
    assert cli("inspect", "-f", form, box).out == "268435456 77 500000000\n"
    cli("restart", "-t", "0", box)
    assert limits(cli) == ("268435456", "77")


def test_limits_hold_after_a_restart_by_policy(cli: Any, box: str) -> None:
    cli("update", "--memory", "96m", "--restart", "always", box)
    cli("exec", box, "kill", "-TERM", "1")
    limit = time.monotonic() + 10
    while cli("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", box).out != "1 running\n":
        assert time.monotonic() < limit
    assert limits(cli)[0] == str(96 << 20)
    cli("update", "--restart", "no", box)
    cli("exec", box, "kill", "-TERM", "1")
    while cli("inspect", "-f", "{{.State.Status}}", box).out != "exited\n":
        assert time.monotonic() < limit


def test_refusals_change_nothing(cli: Any, box: str) -> None:
    before = limits(cli)
    cli("exec", "-d", box, "sh", "-c", "x=$(head -c 40000000 /dev/zero | tr '\\0' x); sleep 99")
    for words, says in (
        ((), "nothing to change"),
        (("--memory", "1k"), "--memory"),
        (("--cpuset-cpus", "4000"), "--cpuset-cpus"),
        (("--pids-limit", "5", "--memory-swap", "1g", "--memory", "2g"), "--memory-swap"),
        (("--blkio-weight", "5"), "--blkio-weight 5: a weight is between 10 and 1000"),
        (("--restart", "sometimes"), "invalid restart policy"),
    ):
        refused = cli("update", *words, box, check=False)
        assert refused.code and says in refused.err and "Traceback" not in refused.err, refused
        assert limits(cli) == before
    assert cli("update", "--memory", "1g", "nobody", check=False).code == 1


def test_what_the_kernel_refuses_is_undone(cli: Any, box: str) -> None:
    if not os.path.exists("/sys/fs/cgroup/memory"):
        pytest.skip("cgroup2 reclaims or kills instead of refusing")
    cli("exec", "-d", box, "sh", "-c", "dd if=/dev/zero of=/dev/null bs=40M & wait")
    time.sleep(1)
    refused = cli("update", "--pids-limit", "55", "--memory", "8m", box, check=False)
    assert refused.code == 1 and "--memory: the kernel refused 8388608" in refused.err, refused
    assert limits(cli)[0] == str(64 << 20) and limits(cli)[1] != "55"
    assert cli("inspect", "-f", "{{.HostConfig.Memory}}", box).out == f"{64 << 20}\n"


def test_of_a_stopped_container_and_with_rm(cli: Any, busybox: str, box: str) -> None:
    cli("stop", "-t", "0", box)
    cli("update", "-m", "100m", box)
    cli("start", box)
    assert limits(cli)[0] == str(100 << 20)
    cli("run", "-d", "--rm", "--name", "gone", busybox, "sleep", "99")
    refused = cli("update", "--restart", "always", "gone", check=False)
    assert refused.code == 1 and "--rm" in refused.err
    cli("rm", "-f", "gone")
