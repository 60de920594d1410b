"""What this kernel has, as far as containers need to know."""

from __future__ import annotations

import os
from functools import cache

from lxcwrap.runtime.config import Host, hierarchy_name

CGROUP = "/sys/fs/cgroup"


@cache
def facts() -> Host:
    """Read once per process."""
    unified = os.path.exists(f"{CGROUP}/cgroup.controllers")
    return Host(
        machine=os.uname().machine,
        unified=unified,
        controllers=_controllers(unified),
        swap_limit=_counts_swap(unified),
        apparmor=_read("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        capabilities=int(_read("/proc/sys/kernel/cap_last_cap") or 40) + 1,
        hierarchies=() if unified else _hierarchies(),
    )


def _controllers(unified: bool) -> frozenset[str]:
    if unified:
        return frozenset(_read(f"{CGROUP}/cgroup.controllers").split())
    lines = [line.split("\t") for line in _read("/proc/cgroups").splitlines() if not line.startswith("#")]
    return frozenset(fields[0] for fields in lines if len(fields) > 3 and fields[3] == "1" and fields[1] != "0")


def _hierarchies() -> tuple[str, ...]:
    """Those that are mounted where they are by custom."""
    found = [line.split(":")[1] for line in _read("/proc/self/cgroup").splitlines()]
    return tuple(options for options in found if os.path.isdir(f"{CGROUP}/{hierarchy_name(options)}"))


def _counts_swap(unified: bool) -> bool:
    if unified:
        own = _read("/proc/self/cgroup").strip().rpartition("::")[2].rstrip("/")
        return bool(own) and os.path.exists(f"{CGROUP}{own}/memory.swap.max")
    return os.path.exists(f"{CGROUP}/memory/memory.memsw.limit_in_bytes")


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
