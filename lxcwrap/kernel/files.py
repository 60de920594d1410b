"""Files: atomic writes, and paths resolved beneath a root.

Source: rename(2), fsync(2), openat2(2).
"""

from __future__ import annotations

import os


def write_atomically(path: str, content: bytes, mode: int = 0o644) -> None:
    """Replace ``path`` whole: written beside it, synced, renamed, the directory synced."""
    beside = f"{path}.{os.getpid()}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make renames in ``path`` durable."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
