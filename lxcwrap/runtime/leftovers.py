"""Processes that outlive a container's init where it is not PID 1 of a namespace: found by their control group.

Loaded into supervisors of containers that share a PID namespace.
"""

from __future__ import annotations

import os
import re
import signal
import time

from lxcwrap.runtime import freezer

_ROUNDS = 200


def parent(monitor_pid: int, name: str) -> str:
    """Where the container's control group is, found by liblxc's process, which outlives the init; '' when it ended.

    Raises OSError.
    """
    place = freezer.directory(monitor_pid, "pids", name) or freezer.directory(monitor_pid, "", name)
    return os.path.dirname(place)


def kill(directory: str, name: str) -> None:
    """Kill everything in the container's groups in ``directory``, until nothing is left."""
    for _ in range(_ROUNDS):
        pids = [pid for group in _groups(directory, name) for place, _, _ in os.walk(group) for pid in _members(place)]
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.005)


def _groups(directory: str, name: str) -> list[str]:
    """liblxc's names: a number follows where a group of an earlier run was left."""
    own = re.compile(rf"lxc\.payload\.{re.escape(name)}(-[0-9]+)?\Z")
    return [f"{directory}/{entry}" for entry in os.listdir(directory) if own.match(entry)]


def _members(place: str) -> list[int]:
    try:
        with open(f"{place}/cgroup.procs", encoding="ascii") as stream:
            return [int(word) for word in stream.read().split() if word != "0"]
    except OSError:  # the group went away
        return []
