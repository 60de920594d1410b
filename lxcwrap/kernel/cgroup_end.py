"""The control groups that liblxc made for containers, ended and removed when liblxc could not.

Source: cgroups(7); the kernel's freezer-subsystem.rst (v1) and cgroup-v2.rst.  Supervisors load it when they need it.
"""

from __future__ import annotations

import os
import signal
import time

_CGROUP = "/sys/fs/cgroup"
_KINDS = ("lxc.payload.", "lxc.monitor.")
_PATIENCE = 3.0  # seconds that killed processes may take to be gone


def end(name: str, above: str = "") -> bool:
    """Kill what is in the groups of container ``name``, frozen or not, and remove them; whether none is left.

    liblxc appends a number to the name where a group is in its way; ``name`` stands for those and for all other names
    that go on with a hyphen.  ``above``: the folder of groups that they are in.
    """
    limit = time.monotonic() + _PATIENCE
    while places := _places(name, above):
        for place in places:
            _kill(place)
        for place in places:
            _remove(place)
        if time.monotonic() > limit:
            return False
        if any(map(os.path.exists, places)):
            time.sleep(0.005)
    return True


def _places(name: str, above: str) -> list[str]:
    found = []
    for hierarchy in _hierarchies():
        place = os.path.normpath(f"{hierarchy}/{above}")
        for entry in _names(place):
            own = next((entry[len(kind) :] for kind in _KINDS if entry.startswith(kind)), "")
            if own == name or own.startswith(f"{name}-"):
                found.append(f"{place}/{entry}")
    return found


def _hierarchies() -> list[str]:
    if os.path.exists(f"{_CGROUP}/cgroup.controllers"):
        return [_CGROUP]
    return [f"{_CGROUP}/{entry}" for entry in _names(_CGROUP)]


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _kill(place: str) -> None:
    for group, _, _ in os.walk(place):
        for pid in _members(group):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _write(f"{group}/freezer.state", "THAWED")  # what is frozen does not die
        _write(f"{group}/cgroup.freeze", "0")


def _members(group: str) -> list[int]:
    try:
        with open(f"{group}/cgroup.procs", encoding="ascii") as stream:
            return [int(line) for line in stream if line != "0\n"]
    except OSError:  # it went away
        return []


def _write(path: str, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:  # not of this hierarchy
        return
    try:
        os.write(descriptor, text.encode())
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _remove(place: str) -> None:
    for group, _, _ in os.walk(place, topdown=False):
        try:
            os.rmdir(group)
        except OSError:  # somebody is in it
            return
