"""What a container's control groups say: processor time, memory, block I/O, processes.

Source: cgroups(7); the kernel's admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple


class Cgroup(NamedTuple):
    """The directory of each controller (v1), or the one of them all, under the name '' (v2)."""

    directories: dict[str, str]

    def of(self, controller: str) -> str | None:
        """The directory in which the controller's files are."""
        return self.directories.get(controller) or self.directories.get("")


class Usage(NamedTuple):
    """Counters: nanoseconds of processor time, bytes, processes.  ``limit`` 0: no limit on memory."""

    cpu: int = 0
    memory: int = 0
    limit: int = 0
    read: int = 0
    written: int = 0
    pids: int = 0


def find(pid: int, name: str = "") -> Cgroup:
    """The groups of a process; with ``name`` only those whose path names it, up to there: a container's own.

    A process that has ended is in the root groups, with the whole host.
    Raises FileNotFoundError or ProcessLookupError when the process is gone.
    """
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as stream:
        lines = [line.rstrip("\n").split(":", 2) for line in stream]
    mounts = _mounts()
    directories: dict[str, str] = {}
    for _, controllers, path in lines:
        if name not in path:
            continue
        for controller in controllers.split(","):
            if controller in mounts:
                directories[controller] = mounts[controller] + _upto(path, name)
    if not directories:
        raise ProcessLookupError(f"process {pid} is in no group of {name}")
    return Cgroup(directories)


def _upto(path: str, name: str) -> str:
    """The path up to the first component that holds ``name``: init may have moved itself further down."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if name and name in part:
            return "/".join(parts[: place + 1])
    return path if path != "/" else ""


def _mounts() -> dict[str, str]:
    """Where each controller is mounted; '' for cgroup2."""
    found: dict[str, str] = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        for line in stream:
            fields, _, kind = line.partition(" - ")
            if not kind.startswith("cgroup"):
                continue
            point = fields.split()[4]
            if kind.startswith("cgroup2 "):
                found.setdefault("", point)
            else:
                for option in kind.split()[2].split(","):
                    found.setdefault(option, point)
    return found


def processes(group: Cgroup) -> list[int]:
    """The ids of all processes in the group and below it, in order."""
    top = next((path for path in (group.of(name) for name in ("pids", "memory", "freezer")) if path), None)
    found: set[int] = set()
    for directory, _, names in os.walk(top or ""):
        if "cgroup.procs" in names:
            found.update(map(int, _read(f"{directory}/cgroup.procs").split()))
    return sorted(found - {0})


def usage(group: Cgroup) -> Usage:
    """Its counters now; what a kernel without the controller cannot say is 0."""
    unified = "memory" not in group.directories
    read, written = _io_v2(group) if unified else _io_v1(group)
    limit = _number(group, "memory", "memory.max" if unified else "memory.limit_in_bytes")
    return Usage(
        cpu=_cpu(group),
        memory=_memory(group, unified),
        limit=limit if limit < 1 << 60 else 0,
        read=read,
        written=written,
        pids=_number(group, "pids", "pids.current") or len(processes(group)),
    )


def _cpu(group: Cgroup) -> int:
    if "cpuacct" in group.directories:
        return _number(group, "cpuacct", "cpuacct.usage")
    return _fields(group, "cpu", "cpu.stat").get("usage_usec", 0) * 1000


def _memory(group: Cgroup, unified: bool) -> int:
    """In use without the page cache that can go at once, as Docker counts."""
    if unified:
        used, idle = "memory.current", "inactive_file"
    else:
        used, idle = "memory.usage_in_bytes", "total_inactive_file"
    inactive = _fields(group, "memory", "memory.stat").get(idle, 0)
    return max(_number(group, "memory", used) - inactive, 0)


def _io_v1(group: Cgroup) -> tuple[int, int]:
    text = _text(group, "blkio", "blkio.throttle.io_service_bytes_recursive")
    text = text or _text(group, "blkio", "blkio.throttle.io_service_bytes")
    return _sum(r" Read (\d+)", text), _sum(r" Write (\d+)", text)


def _io_v2(group: Cgroup) -> tuple[int, int]:
    text = _text(group, "io", "io.stat")
    return _sum(r"\brbytes=(\d+)", text), _sum(r"\bwbytes=(\d+)", text)


def _sum(pattern: str, text: str) -> int:
    return sum(int(match[1]) for match in re.finditer(pattern, text))


def _fields(group: Cgroup, controller: str, name: str) -> dict[str, int]:
    lines = (line.split() for line in _text(group, controller, name).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def _number(group: Cgroup, controller: str, name: str) -> int:
    text = _text(group, controller, name).strip()
    return int(text) if text.isdigit() else 0


def _text(group: Cgroup, controller: str, name: str) -> str:
    directory = group.of(controller)
    return _read(f"{directory}/{name}") if directory else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read()
    except OSError:  # no such controller, or the group went away
        return ""
