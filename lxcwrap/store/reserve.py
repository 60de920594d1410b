"""Space set aside for the database, so that things can be removed from a full disk."""

from __future__ import annotations

import os
from contextlib import suppress

from lxcwrap.model.paths import Paths

_SIZE = 1 << 20  # bytes
_PORTION = 1 << 16  # bytes: more than a removal writes, little enough for many of them
_PLENTY = 4 * _SIZE  # bytes that must be free for some to be set aside


def keep(paths: Paths) -> None:
    """Set it aside, unless it is or there is little space."""
    if _size(paths) == _SIZE or _free(paths) < _PLENTY:
        return
    with suppress(OSError):  # a file system that cannot allocate, say: then there is none
        descriptor = os.open(paths.reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _SIZE)
        finally:
            os.close(descriptor)


def release(paths: Paths) -> None:
    """Give a part to who is about to remove something, if the disk is full: others may take what is free at once."""
    if is_needed(paths):
        with suppress(FileNotFoundError):
            os.truncate(paths.reserve, max(_size(paths) - _PORTION, 0))


def is_needed(paths: Paths) -> bool:
    """Whether the disk is full."""
    return _free(paths) < _PORTION


def _size(paths: Paths) -> int:
    try:
        return os.stat(paths.reserve).st_size
    except FileNotFoundError:
        return 0


def _free(paths: Paths) -> int:
    disk = os.statvfs(paths.root)
    return disk.f_bavail * disk.f_frsize
