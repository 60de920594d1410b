"""Processes: prctl(2) and a child for work that changes the process itself.

Source: prctl(2), pidfd_open(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, argument: int | bytes = 0) -> None:
    """prctl(2) with one argument."""
    value = argument if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    if _libc.prctl(ctypes.c_int(option), value, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send ``number`` to the caller when its parent thread ends."""
    prctl(PR_SET_PDEATHSIG, int(number))


def become_subreaper() -> None:
    """Orphaned descendants become the caller's children."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """What ``ps`` shows as the command, at most 15 bytes."""
    prctl(PR_SET_NAME, os.fsencode(name)[:15] + b"\0")


def syncfs(descriptor: int) -> None:
    """syncfs(2): write out the file system that holds ``descriptor``."""
    if _libc.syncfs(ctypes.c_int(descriptor)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def leave_stdin() -> int:
    """Move what is open at descriptor 0, which then stays taken: nothing opened later may come to be there."""
    import fcntl

    moved = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    return moved


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


_CAPABILITY_VERSION = 0x20080522
_Sets = ctypes.c_uint32 * 6  # effective, permitted, inheritable; low words, then high ones


@contextmanager
def file_owner(uid: int, gid: int) -> Iterator[None]:
    """What the calling thread makes belongs to these host ids while inside; root's capabilities stay.

    On an idmapped mount nothing can be made by ids that it does not map.  Source: setfsuid(2), capget(2).
    """
    header, sets = _Header(_CAPABILITY_VERSION, 0), _Sets()
    _checked(_libc.capget(ctypes.byref(header), ctypes.byref(sets)))
    user, group = _libc.setfsuid(ctypes.c_uint(uid)), _libc.setfsgid(ctypes.c_uint(gid))
    try:
        _checked(_libc.capset(ctypes.byref(header), ctypes.byref(sets)))  # the change took those about files
        yield
    finally:
        _libc.setfsuid(ctypes.c_uint(user))
        _libc.setfsgid(ctypes.c_uint(group))


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
