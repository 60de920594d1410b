"""Locks that die with their holder: flock(2) on open files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


class Busy(Exception):
    """Somebody else holds the lock."""


@contextmanager
def held(path: str, *, shared: bool = False, wait: bool = True) -> Iterator[int]:
    """Hold the lock file ``path`` (made if missing); yields its descriptor.

    Raises Busy when it is held by another and ``wait`` is false.
    """
    descriptor = take(path, shared=shared, wait=wait)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def take(path: str, *, shared: bool = False, wait: bool = True) -> int:
    """The open, locked descriptor of ``path``; closing it (or dying) gives the lock back.  Raises Busy."""
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, mode)
        except BlockingIOError:
            os.close(descriptor)
            raise Busy(path) from None
        except BaseException:
            os.close(descriptor)
            raise
        if _is_current(descriptor, path):
            return descriptor
        os.close(descriptor)  # the file was removed while we waited: lock its successor


def is_held(path: str) -> bool:
    """Whether somebody holds ``path``; a missing file is held by nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
        return os.open(path, flags, 0o600)


def _is_current(descriptor: int, path: str) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (named.st_dev, named.st_ino)
