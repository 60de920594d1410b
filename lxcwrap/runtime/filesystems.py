"""File systems as volumes: mounted where a supervisor sees them, and shared between those that use them.

A file system in memory is one for all containers that have it, as long as one of them runs: whoever comes next takes
the mount from a supervisor that has it.  ``holders`` is a file with a line for each: its pid and the mount's path.
Loaded into supervisors of containers that have such volumes.  Source: mount(2).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Any

from lxcwrap.kernel import lock, mount

_FLAGS = {
    "ro": mount.MS_RDONLY, "nosuid": mount.MS_NOSUID, "nodev": mount.MS_NODEV, "noexec": mount.MS_NOEXEC,
    "sync": 0x10, "mand": 0x40, "dirsync": 0x80, "nosymfollow": 0x100, "noatime": 0x400, "nodiratime": 0x800,
    "silent": 0x8000, "relatime": 0x200000, "strictatime": 0x1000000, "lazytime": 0x2000000,
}  # fmt: skip
_OPPOSITES = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync", "nomand": "mand",
    "atime": "noatime", "diratime": "nodiratime", "loud": "silent", "norelatime": "relatime",
    "nostrictatime": "strictatime", "nolazytime": "lazytime", "symfollow": "nosymfollow",
}  # fmt: skip
_NOTHING = ("defaults", "")


def known(kind: str) -> bool:
    """Whether the kernel has a file system of that name, or a module for it."""
    try:
        os.close(mount.fsopen(kind))
    except OSError as error:
        return error.errno != errno.ENODEV
    return True


def flags(words: Iterable[str]) -> tuple[int, list[str]]:
    """The flags of mount(2) among mount(8)'s options, and the rest, which is the file system's own."""
    number, rest = 0, []
    for word in words:
        if word in _FLAGS:
            number |= _FLAGS[word]
        elif word in _OPPOSITES:
            number &= ~_FLAGS[_OPPOSITES[word]]
        elif word not in _NOTHING:
            rest.append(word)
    return number, rest


def attach(wanted: dict[str, Any], target: str, *, kept: bool = True) -> bool:
    """Mount it at ``target``, which is made; False when another supervisor had it already.

    ``kept``: others may take it from this process from now on.  Raises OSError.
    """
    os.makedirs(target, 0o700, exist_ok=True)
    with lock.held(wanted["holders"]) as held:
        holders = _read(held)
        for number, (pid, path) in enumerate(holders):
            tree = _taken(pid, path)
            if tree >= 0:
                _write(held, holders[number:])
                mount.move_mount(tree, target)
                os.close(tree)
                break
        else:
            _write(held, [])
            number = -1
            mount.mount(wanted["device"], target, wanted["type"], wanted["flags"], wanted["options"])
        if kept:
            os.lseek(held, 0, os.SEEK_END)
            os.write(held, os.fsencode(f"{os.getpid()} {target}\n"))
    return number < 0


def _read(held: int) -> list[tuple[int, str]]:
    lines = os.fsdecode(os.pread(held, 1 << 20, 0)).splitlines()
    found = [line.partition(" ") for line in lines]
    return [(int(pid), path) for pid, _, path in found if pid.isdigit()]


def _write(held: int, holders: list[tuple[int, str]]) -> None:
    os.ftruncate(held, 0)
    os.pwrite(held, os.fsencode("".join(f"{pid} {path}\n" for pid, path in holders)), 0)


def _taken(pid: int, path: str) -> int:
    """A copy of the mount that a process has at ``path``; -1 when there is no such process, or no mount of its own."""
    try:
        with mount.namespace_of(pid):
            if os.stat(path).st_dev == os.stat(os.path.dirname(path)).st_dev:
                return -1
            return mount.open_tree(path)
    except OSError:
        return -1
