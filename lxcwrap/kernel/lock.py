"""Locks that die with their holder: flock(2) on open files."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST = 0.03  # seconds between two tries
_LOOK = 1.0  # seconds between two looks at who holds it
_LOOKS = 3  # so often a holder is seen stopped before it is taken to stay so


class Busy(Exception):
    """Somebody else holds the lock."""


@contextmanager
def held(path: str, *, shared: bool = False, wait: bool = True) -> Iterator[int]:
    """Hold the lock file ``path`` (made if missing); yields its descriptor.

    Raises as ``take``.
    """
    descriptor = take(path, shared=shared, wait=wait)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def take(path: str, *, shared: bool = False, wait: bool = True) -> int:
    """The open, locked descriptor of ``path``; closing it (or dying) gives the lock back.

    Raises Busy when it is held by another and ``wait`` is false, and LxcwrapError when the other is a process that
    somebody stopped.
    """
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = _open(path)
        try:
            if not _lock(descriptor, mode):
                if not wait:
                    raise Busy(path)
                _wait(descriptor, mode, path)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_current(descriptor, path):
            return descriptor
        os.close(descriptor)  # the file was removed while we waited: lock its successor


def _lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(descriptor: int, mode: int, path: str) -> None:
    """Until it is ours.  Tried again and again, so as to see meanwhile what its holder does."""
    pause, look, looks = 0.0005, time.monotonic() + _LOOK, 0
    while not _lock(descriptor, mode):
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST)
        if time.monotonic() < look:
            continue
        look += _LOOK
        from lxcwrap.kernel import holder

        stopped = next((pid for pid in holder.of(path) if holder.is_stopped(pid)), 0)
        looks = looks + 1 if stopped else 0
        if looks == _LOOKS:
            raise holder.stopped(path, stopped)


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
