"""What each program keeps in memory for 50 idle containers: the summed PSS of its processes, not of the workload.

Source: proc_pid_smaps_rollup(5).  Counted are the daemons, the ancestors of every container's process, and all
their descendants in the host's pid namespace; a process in another pid namespace is the workload.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from cases import BASE
from peers import Peer

COUNT = 50
MARK = "86400.25"  # how the workload's sleep is told from anybody else's


def measure(peer: Peer, *options: str) -> tuple[int, int]:
    """(PSS in KiB, number of processes) of everything that ``peer`` keeps for COUNT idle containers."""
    names = [f"idle{number}" for number in range(COUNT)]
    for name in names:
        peer.run("run", "-d", "--name", name, *options, BASE, "sleep", MARK)
    found = kept_for(peer, COUNT)
    peer.run("rm", "-f", *names)
    return found


def kept_for(peer: Peer, count: int) -> tuple[int, int]:
    """The same for ``count`` containers that run already, each a ``sleep MARK``."""
    time.sleep(3)
    kept = _kept(peer, count)
    return sum(_pss(process) for process in kept), len(kept)


def _kept(peer: Peer, count: int) -> set[int]:
    parents = dict(_parents())
    ours = _ancestors(os.getpid(), parents) | {1}
    workload = {pid for pid in parents if _is_workload(pid)}
    if len(workload) < count:
        raise SystemExit(f"benchmarks: {peer.name} runs {len(workload)} containers instead of {count}")
    kept = set(peer.daemons())
    for pid in workload:
        kept |= _ancestors(pid, parents) - ours
    kept -= workload
    return {pid for pid in parents if not _is_foreign(pid) and (_ancestors(pid, parents) | {pid}) & kept}


def _parents() -> Iterator[tuple[int, int]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    yield int(entry), int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    found = set()
    while pid := parents.get(pid, 0):
        found.add(pid)
    return found


def _is_workload(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            return words.read().split(b"\0")[:-1] == [b"sleep", MARK.encode()] and _is_foreign(pid)
    except OSError:
        return False


def _is_foreign(pid: int) -> bool:
    """Whether it is inside a container: in another pid namespace than ours."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    except OSError:
        return True


def _pss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0
