"""liblxc, through python3-lxc.

Its C type is used as it is: the Python class over it reads values back and resets those that liblxc normalises, and
costs every supervisor 1.6 MB.  The exit status of a container's init, which the binding does not have, comes from
liblxc's monitor (``runtime/launch.py``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_NAME = "_lxc"


class LxcError(Exception):
    """liblxc refused, or there is none; the message is one line."""


def directory() -> str:
    """The folder of python3-lxc's extension module, for a program that has no search path; '' without one.

    Looked up by name: the import system would take longer to say so, and load it.
    """
    from importlib.machinery import EXTENSION_SUFFIXES

    for place in sys.path:
        if any(os.path.exists(f"{place}/{_NAME}{suffix}") for suffix in EXTENSION_SUFFIXES):
            return place
    return ""


def load() -> Any:
    """python3-lxc's extension module.  Raises LxcError when the host has no liblxc or no binding for this Python."""
    try:
        import _lxc
    except ImportError as error:
        raise LxcError(f"liblxc's Python binding cannot be loaded: {error} (apt-get install python3-lxc)") from None
    return _lxc


def version() -> str:
    """liblxc's version, such as ``5.0.2``.  Raises LxcError."""
    return str(load().get_version())


class Container:
    """One container of one lxcpath.  The directory ``<lxcpath>/<name>`` must exist before ``start``."""

    def __init__(self, lxcpath: str, name: str) -> None:
        self._container = load().Container(name, lxcpath)

    def configure(self, items: Iterable[Sequence[str]]) -> None:
        """Apply ``(key, value)`` pairs in order; keys that are lists grow.  Raises LxcError."""
        for key, value in items:
            if "\n" in key or not self._accepts(key, value):
                raise LxcError(f"liblxc does not accept {key} = {value!r:.200}")

    def _accepts(self, key: str, value: str) -> bool:
        try:
            return bool(self._container.set_config_item(key, value))
        except (UnicodeEncodeError, ValueError):  # not text, or a NUL in it
            return False

    def start(self, argv: Sequence[str]) -> bool:
        """Run the container in the foreground until its init ends; False if it never started.  Raises LxcError."""
        try:
            return bool(self._container.start(useinit=False, daemonize=False, close_fds=False, cmd=tuple(argv)))
        except UnicodeEncodeError as error:
            raise LxcError(f"an argument of the command is not UTF-8: {error.object!r:.200}") from None
