"""Be told of changes of files in a directory (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import select

_MODIFY, _MOVED_TO, _CREATE = 0x2, 0x80, 0x100
_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Changes in one directory.  Raises OSError."""

    def __init__(self, directory: str) -> None:
        self.descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.descriptor < 0:
            _fail(directory)
        if _libc.inotify_add_watch(self.descriptor, os.fsencode(directory), _MODIFY | _MOVED_TO | _CREATE) < 0:
            os.close(self.descriptor)
            _fail(directory)

    def wait(self, seconds: float | None) -> None:
        """Until something changes, or so long."""
        if select.select([self.descriptor], [], [], seconds)[0]:
            os.read(self.descriptor, 1 << 16)


def _fail(directory: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), directory)
