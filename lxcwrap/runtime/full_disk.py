"""What a supervisor does where nothing new can be written.  Loaded into supervisors when that happens."""

from __future__ import annotations

import os


def overwrite(path: str, content: bytes) -> None:
    """Write into the file that is there, which takes no more space than it has.

    What fails is given up: the container goes on, and its end is seen by its supervisor's.
    """
    try:
        if os.path.exists(path + ".new"):
            os.unlink(path + ".new")
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    except OSError:
        pass
    finally:
        os.close(descriptor)
