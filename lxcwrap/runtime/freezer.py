"""Freeze and thaw a container's cgroup.  Loaded into a supervisor when it happens.

Source: kernel Documentation: cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst (cgroup.freeze).
"""

from __future__ import annotations

import os
import time

_CGROUP = "/sys/fs/cgroup"
_PATIENCE = 5.0  # seconds that the kernel may take to stop every process


def change(init_pid: int, name: str, frozen: bool) -> bool:
    """Whether the container ``name``, whose init is ``init_pid``, is as wanted afterwards."""
    place = directory(init_pid, "freezer", name)
    if place:
        _write(f"{place}/freezer.state", "FROZEN" if frozen else "THAWED")
        return _becomes(f"{place}/freezer.state", "FROZEN" if frozen else "THAWED")
    place = directory(init_pid, "", name)
    if not place:
        return False
    _write(f"{place}/cgroup.freeze", "1" if frozen else "0")
    return _becomes(f"{place}/cgroup.events", f"frozen {int(frozen)}")


def directory(init_pid: int, controller: str, name: str) -> str:
    """The container's cgroup: of a v1 controller, or of v2 with ``controller`` ''.

    '' when there is none, and when the process is not in it: one that has ended is in the root, with the whole host.
    """
    with open(f"/proc/{init_pid}/cgroup", encoding="ascii", errors="surrogateescape") as stream:
        for line in stream:
            _, names, path = line.rstrip("\n").split(":", 2)
            if names == controller:
                parts = path.split("/")
                depth = next((at for at, part in enumerate(parts, 1) if name in part), 0)
                return f"{_CGROUP}/{controller}".rstrip("/") + "/".join(parts[:depth]) if depth else ""
    return ""


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _becomes(path: str, wanted: str) -> bool:
    limit = time.monotonic() + _PATIENCE
    while time.monotonic() < limit:
        with open(path, encoding="ascii") as stream:
            if wanted in stream.read():
                return True
        time.sleep(0.002)
    return False
