"""A container's state.json, as its supervisor writes it.  Loaded into supervisors."""

from __future__ import annotations

import json
import os
from typing import Any


def write(path: str, state: dict[str, Any]) -> None:
    """Whole or not at all; on a full disk over the file that is there, which takes no more space than it has."""
    content = json.dumps(state).encode()
    try:
        with open(path + ".new", "wb") as stream:
            stream.write(content)
        os.rename(path + ".new", path)
    except OSError:
        _overwrite(path, content)


def _overwrite(path: str, content: bytes) -> None:
    """What fails is given up: the container goes on, and its end is seen by its supervisor's."""
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
