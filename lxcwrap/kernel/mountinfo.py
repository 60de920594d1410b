"""The mounts of the caller's namespace, as /proc/self/mountinfo tells them (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPED = re.compile(r"\\([0-7]{3})")


class MountPoint(NamedTuple):
    """``propagates``: what is mounted below it is passed on to mounts that follow it."""

    path: str
    propagates: bool
    kind: str = ""  # of file system


def points() -> list[MountPoint]:
    """All mounts, in the order in which they were made."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            fields = line.split()
            end = fields.index("-", 6)
            optional = fields[6:end]
            path = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4])
            propagates = any(word.startswith(("shared:", "master:")) for word in optional)
            found.append(MountPoint(path, propagates, fields[end + 1]))
    return found


def holding(path: str) -> MountPoint:
    """The mount that a path, without links in it, is on."""
    return max(
        (point for point in reversed(points()) if path == point.path or path.startswith(point.path.rstrip("/") + "/")),
        key=lambda point: len(point.path),
    )
