"""Which control groups a process is in, as files to join them by.  Loaded into supervisors.

Source: cgroups(7), ``/proc/PID/cgroup``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

_CGROUP = "/sys/fs/cgroup"


def memberships(pid: int) -> Iterator[tuple[str, str]]:
    """(directory of the hierarchy, path in it) of each of the process's groups."""
    unified = f"{_CGROUP}/unified" if os.path.isdir(f"{_CGROUP}/unified") else _CGROUP
    with open(f"/proc/{pid}/cgroup", encoding="ascii", errors="surrogateescape") as stream:
        for line in stream:
            _, names, path = line.rstrip("\n").split(":", 2)
            yield (f"{_CGROUP}/{names.removeprefix('name=')}" if names else unified), path


def open_procs(memberships: Iterator[tuple[str, str]]) -> list[int]:
    """``cgroup.procs`` of each group, open for writing; what is not mounted here is left out."""
    found = []
    for hierarchy, path in memberships:
        try:
            found.append(os.open(f"{hierarchy}{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            continue
    return found


def join(descriptors: list[int]) -> None:
    """Put the calling process into the groups, and close their files.  Raises OSError."""
    for descriptor in descriptors:
        os.write(descriptor, b"0")
        os.close(descriptor)
