"""The calling thread's capability sets.

Source: capget(2), linux/capability.h.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

_VERSION_3 = 0x20080522
_EFFECTIVE, _PERMITTED, _INHERITABLE = range(3)
_Sets = ctypes.c_uint32 * 6  # the three sets of the lower 32 capabilities, then those of the upper
_libc = ctypes.CDLL(None, use_errno=True)


def give_up(numbers: Iterable[int]) -> None:
    """Let go of some, and of whatever a program executed later could inherit.  Raises OSError."""
    sets = _read()
    for number in numbers:
        at, bit = 3 * (number // 32), 1 << number % 32
        sets[at + _EFFECTIVE] &= ~bit
        sets[at + _PERMITTED] &= ~bit
    sets[_INHERITABLE] = sets[3 + _INHERITABLE] = 0  # and with it the ambient set
    _write(sets)


def regain() -> None:
    """Make all permitted ones effective again, after setfsuid(2) took some away.  Raises OSError."""
    sets = _read()
    for half in (0, 3):
        sets[half + _EFFECTIVE] = sets[half + _PERMITTED]
    _write(sets)


def _read() -> ctypes.Array[ctypes.c_uint32]:
    sets = _Sets()
    if _libc.capget((ctypes.c_uint32 * 2)(_VERSION_3, 0), sets):
        raise OSError(ctypes.get_errno(), "the capabilities could not be read")
    return sets


def _write(sets: ctypes.Array[ctypes.c_uint32]) -> None:
    if _libc.capset((ctypes.c_uint32 * 2)(_VERSION_3, 0), sets):
        number = ctypes.get_errno()
        raise OSError(number, f"the capabilities could not be changed: {os.strerror(number)}")
