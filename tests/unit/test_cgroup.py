"""Counters of control groups, from files as the kernel writes them in both layouts."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from lxcwrap.actions.stats import Sample, row
from lxcwrap.kernel import cgroup
from lxcwrap.kernel.cgroup import Cgroup, Usage
from lxcwrap.runtime import freezer, leftovers


def write(folder: Path, **files: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return str(folder)


def test_the_unified_layout(tmp_path: Path) -> None:
    place = write(
        tmp_path,
        cpu__stat="usage_usec 1500\nuser_usec 1000\n",
        memory__current="5000\n",
        memory__stat="anon 10\ninactive_file 1000\n",
        memory__max="max\n",
        io__stat="8:0 rbytes=100 wbytes=200 rios=1\n8:16 rbytes=1 wbytes=2 dbytes=0\n",
        pids__current="7\n",
        cgroup__procs="",
    )
    assert cgroup.usage(Cgroup({"": place})) == Usage(1_500_000, 4000, 0, 101, 202, 7)
    (tmp_path / "memory.max").write_text("65536\n")
    assert cgroup.usage(Cgroup({"": place})).limit == 65536


def test_the_old_layout(tmp_path: Path) -> None:
    blkio = "8:0 Read 100\n8:0 Write 200\n8:0 Total 300\n8:16 Read 1\nTotal 301\n"
    directories = {
        "cpuacct": write(tmp_path / "cpu", cpuacct__usage="42\n"),
        "memory": write(
            tmp_path / "memory",
            memory__usage_in_bytes="5000\n",
            memory__stat="inactive_file 1\ntotal_inactive_file 1000\n",
            memory__limit_in_bytes="9223372036854771712\n",
        ),
        "blkio": write(tmp_path / "blkio", blkio__throttle__io_service_bytes_recursive=blkio),
        "pids": write(tmp_path / "pids", pids__current="3\n"),
    }
    assert cgroup.usage(Cgroup(directories)) == Usage(42, 4000, 0, 101, 200, 3)


def test_a_kernel_that_says_nothing(tmp_path: Path) -> None:
    assert cgroup.usage(Cgroup({"": str(tmp_path)})) == Usage()
    assert cgroup.usage(Cgroup({})) == Usage()


def test_processes_of_all_groups_below(tmp_path: Path) -> None:
    place = write(tmp_path, cgroup__procs="12\n3\n")
    write(tmp_path / "init.scope", cgroup__procs="40\n")
    write(tmp_path / "system.slice" / "a.service", cgroup__procs="7\n0\n")
    assert cgroup.processes(Cgroup({"": place})) == [3, 7, 12, 40]
    assert cgroup.usage(Cgroup({"": place})).pids == 4


def test_the_groups_of_this_process() -> None:
    group = cgroup.find(os.getpid())
    assert group.directories
    assert all(os.path.isdir(path) for path in group.directories.values())
    with pytest.raises(ProcessLookupError):
        cgroup.find(os.getpid(), "no-such-name")


def test_a_containers_group_begins_at_its_name() -> None:
    assert cgroup._upto("/lxc.payload.abc/init.scope", "abc") == "/lxc.payload.abc"
    assert cgroup._upto("/a/lxc.payload.abc-1/x", "abc") == "/a/lxc.payload.abc-1"
    assert (cgroup._upto("/", "abc"), cgroup._upto("/x/y", "")) == ("", "/x/y")


def test_rows_of_stats() -> None:
    before = Sample("a" * 64, "web", 10.0, Usage(cpu=10**9))
    now = Sample("a" * 64, "web", 12.0, Usage(2 * 10**9, 1 << 20, 1 << 22, 1000, 2_000_000, 3), 656, 1_000)
    plain = row(before, now)
    assert (plain["ID"], plain["CPUPerc"], plain["MemUsage"]) == ("a" * 12, "50.00%", "1MiB / 4MiB")
    assert (plain["MemPerc"], plain["NetIO"], plain["BlockIO"]) == ("25.00%", "656B / 1kB", "1kB / 2MB")
    assert (plain["PIDs"], row(None, now)["CPUPerc"]) == ("3", "0.00%")
    assert row(before, Sample("b" * 64, "gone", 12.0))["MemUsage"] == "-- / --"


def test_a_process_that_has_ended_is_in_no_group_of_a_container() -> None:
    """The kernel shows it in the root groups: what is done to those is done to the whole host."""
    child = os.fork()
    if not child:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert freezer.directory(child, "pids", "0123") == freezer.directory(child, "", "0123") == ""
        assert leftovers.parent(child, "0123") == ""
        with pytest.raises(ProcessLookupError):
            cgroup.find(child, "0123")
    finally:
        os.waitpid(child, 0)


def test_only_the_containers_own_groups_are_emptied(tmp_path: Path) -> None:
    sleepers = [subprocess.Popen(["sleep", "60"]) for _ in range(4)]
    names = ("lxc.payload.0123", "lxc.payload.0123-2", "lxc.payload.01234", "lxc.monitor.0123")
    for name, sleeper in zip(names, sleepers, strict=True):
        write(tmp_path / name, cgroup__procs=f"0\n{sleeper.pid}\n")

    def reap() -> None:
        for name, sleeper in zip(names, sleepers, strict=True):
            if sleeper.wait():
                write(tmp_path / name, cgroup__procs="")

    reaper = threading.Thread(target=reap)
    reaper.start()
    leftovers.kill(str(tmp_path), "0123")
    assert [sleeper.poll() for sleeper in sleepers] == [-9, -9, None, None]
    for sleeper in sleepers:
        sleeper.kill()
    reaper.join()
