"""Processes that outlive a container's init where it is not PID 1 of a namespace: found by their control group.

Loaded into supervisors of containers that share a PID namespace.
"""

from __future__ import annotations

import os
import signal
import time

from lxcwrap.runtime import freezer

_ROUNDS = 200


def group(init_pid: int, name: str) -> str:
    """The container's control group, found while its init runs.  Raises OSError."""
    return freezer.directory(init_pid, "pids", name) or freezer.directory(init_pid, "", name)


def kill(directory: str) -> None:
    """Kill everything in it, until nothing is left."""
    for _ in range(_ROUNDS):
        pids = [pid for place, _, _ in os.walk(directory) for pid in _members(place)]
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.005)


def _members(place: str) -> list[int]:
    try:
        with open(f"{place}/cgroup.procs", encoding="ascii") as stream:
            return [int(word) for word in stream.read().split() if word != "0"]
    except OSError:  # the group went away
        return []
