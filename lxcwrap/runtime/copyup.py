"""Fill a new volume with what the image has at its mount point (Docker's rule).  Loaded when it happens."""

from __future__ import annotations

import os
import stat

from lxcwrap.kernel import lock
from lxcwrap.kernel.beneath import STRICT, open_beneath, remove_tree

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fill(source_fd: int, volume: str, marker: str, id_base: int) -> None:
    """Copy a directory's content into a volume that is empty, once however many containers start at the same time.

    ``marker`` is a file that holds something while the copy is under way: what a crash left half done is done anew.
    """
    with lock.held(marker) as held:
        source = os.open(".", _DIRECTORY, dir_fd=source_fd)
        target = os.open(volume, _DIRECTORY)
        try:
            if os.fstat(held).st_size:
                for name in os.listdir(target):
                    remove_tree(target, name)
            if not os.listdir(target):
                os.write(held, b"1")
                _copy(source, target, id_base)
        finally:
            os.close(source)
            os.close(target)
        os.unlink(marker)


def _copy(source: int, target: int, id_base: int) -> None:
    """The tree below one directory into another: owners, modes, times, links.

    Owners are stored as the container sees them: ``id_base`` is its root's host id.  Devices and sockets are left out.
    However deep the image has it: no recursion, and no more than two directories open.
    """
    pending = [""]
    while pending:
        path = pending.pop()
        reading = open_beneath(source, path, _DIRECTORY, resolve=STRICT)
        try:
            writing = open_beneath(target, path, _DIRECTORY, resolve=STRICT)
            try:
                for name in os.listdir(reading):
                    if _copy_one(reading, writing, name, id_base):
                        pending.append(f"{path}/{name}" if path else name)
                found = os.fstat(reading)
                os.fchown(writing, *_owner(found, id_base))
                os.fchmod(writing, stat.S_IMODE(found.st_mode))
            finally:
                os.close(writing)
        finally:
            os.close(reading)


def _copy_one(source: int, target: int, name: str, id_base: int) -> bool:
    """Returns whether it is a directory, which is made but not filled."""
    found = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
        return True
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, *_owner(found, id_base), dir_fd=target, follow_symlinks=False)
    elif stat.S_ISREG(found.st_mode):
        _copy_file(source, target, name, found, id_base)
    return False


def _copy_file(source: int, target: int, name: str, found: os.stat_result, id_base: int) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    writing = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=target)
    try:
        while os.sendfile(writing, reading, None, 1 << 26):
            pass
        os.fchown(writing, *_owner(found, id_base))
        os.fchmod(writing, stat.S_IMODE(found.st_mode))
        os.utime(writing, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(reading)
        os.close(writing)


def _owner(found: os.stat_result, id_base: int) -> tuple[int, int]:
    return max(found.st_uid - id_base, 0), max(found.st_gid - id_base, 0)
