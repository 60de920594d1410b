"""What a container changed, as ``diff`` shows it, and the files that are ours rather than the container's."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from lxcwrap.archive import xattrs
from lxcwrap.archive.whiteouts import is_opaque
from lxcwrap.kernel import beneath

ADDED, CHANGED, DELETED = "A", "C", "D"
_CHUNK = 1 << 20

# Mount points that the runtime makes for what it mounts.  Left empty they are no change of the container's.
MOUNT_POINTS = (
    b"dev/console", b"dev/pts", b"dev/shm", b"dev/mqueue", b"dev", b"proc", b"sys", b"run/secrets",
    b"run/.containerenv", b".dockerenv", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf",
)  # fmt: skip


class Change(NamedTuple):
    """``path`` is absolute in the container; ``kind`` is A, C or D."""

    path: str
    kind: str


def shown(path: bytes) -> str:
    return "/" + os.fsdecode(path)


def status(root: int, path: bytes) -> os.stat_result | None:
    """lstat of a path beneath an open directory without following any link; None when it is not there."""
    try:
        descriptor = beneath.open_beneath(root, path, os.O_PATH | os.O_NOFOLLOW, resolve=beneath.STRICT)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # a link on the way makes it another path
            return None
        raise
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def differs(old: os.stat_result, new: os.stat_result, old_base: int, new_base: int, *, exact: bool = True) -> bool:
    """Whether metadata says that a file was changed; ids are compared as the container sees them.

    Without ``exact`` times are compared by the second.
    """
    if old.st_mode != new.st_mode or old.st_uid - old_base != new.st_uid - new_base:
        return True
    if old.st_gid - old_base != new.st_gid - new_base or old.st_rdev != new.st_rdev:
        return True
    if stat.S_ISDIR(new.st_mode):
        return False
    unit = 1 if exact else 10**9
    return old.st_size != new.st_size or old.st_mtime_ns // unit != new.st_mtime_ns // unit


def same_content(before: int, now: int) -> bool:
    """Whether two open files or directories, alike in metadata, are alike in attributes and bytes."""
    if xattrs.read(before) != xattrs.read(now):
        return False
    if not stat.S_ISREG(os.fstat(now).st_mode):
        return True
    while True:
        old, new = os.read(before, _CHUNK), os.read(now, _CHUNK)
        if old != new:
            return False
        if not old:
            return True


def runtime_made(root: int, in_layers: Callable[[bytes], os.stat_result | None], id_base: int) -> frozenset[bytes]:
    """Which of MOUNT_POINTS are in the open tree, empty, and in no layer; and what is there only to hold them."""
    found: set[bytes] = set()
    for path in MOUNT_POINTS:  # what is inside comes before what holds it
        there = status(root, path)
        if there and not in_layers(path) and _is_empty(root, path, there, found):
            found.add(path)
    for parent in {path.rpartition(b"/")[0] for path in found} - {b""} - found:
        there, before = status(root, parent), in_layers(parent)
        if not there or not stat.S_ISDIR(there.st_mode) or (before and differs(before, there, 0, id_base)):
            continue
        if _is_empty(root, parent, there, found):
            found.add(parent)
    return frozenset(found)


def _is_empty(root: int, path: bytes, there: os.stat_result, ours: set[bytes]) -> bool:
    if stat.S_ISREG(there.st_mode):
        return there.st_size == 0
    if not stat.S_ISDIR(there.st_mode):
        return False
    descriptor = beneath.open_beneath(root, path, os.O_RDONLY | os.O_DIRECTORY, resolve=beneath.STRICT)
    try:
        names = map(os.fsencode, os.listdir(descriptor))
        return not is_opaque(descriptor) and all(path + b"/" + name in ours for name in names)
    finally:
        os.close(descriptor)
