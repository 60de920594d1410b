"""Paths resolved beneath a root, so that no link in an image, archive or container leads out of it.

Source: openat2(2), kernel 5.6.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
from collections.abc import Iterator

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS  # the path as it stands, without any link

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPENAT2 = 437
_ATTEMPTS = 64  # a rename elsewhere can make the kernel ask for another try (EAGAIN)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root_fd: int, path: str | bytes, flags: int, mode: int = 0, *, resolve: int = IN_ROOT) -> int:
    """openat2(2): ``path`` as seen by a process whose root directory is ``root_fd``.  Raises OSError."""
    how = _How(flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path) or b"."
    for _ in range(_ATTEMPTS):
        result = _libc.syscall(
            ctypes.c_long(_OPENAT2), ctypes.c_int(root_fd), name, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
        )
        if result >= 0:
            return int(result)
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number), os.fsdecode(name))


def open_root(path: str) -> int:
    """A directory to resolve beneath."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def read_file(root_path: str, path: str, limit: int = 16 * 1024 * 1024) -> bytes:
    """The content of a regular file beneath a root (``/etc/passwd`` of a container), at most ``limit`` bytes.

    Raises FileNotFoundError, and OSError EINVAL for anything but a regular file.
    """
    import stat

    root = open_root(root_path)
    try:
        descriptor = open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    finally:
        os.close(root)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return stream.read(limit)


def make_directories(root_fd: int, path: str | bytes, uid: int = 0, gid: int = 0, mode: int = 0o755) -> int:
    """``mkdir -p`` beneath a root; what is made gets the owner and mode.  Returns a descriptor of the directory.

    The caller closes it.  Links on the way are followed beneath the root.  Raises OSError (ENOTDIR, ELOOP).
    """
    current = open_beneath(root_fd, "", os.O_RDONLY | os.O_DIRECTORY)  # the root may be an O_PATH descriptor
    walked: list[bytes] = []
    try:
        for part in os.fsencode(path).split(b"/"):
            if part in (b"", b"."):
                continue
            if part == b"..":
                walked = walked[:-1]
            else:
                walked.append(part)
            following = _enter(root_fd, current, walked, uid, gid, mode)
            os.close(current)
            current = following
        return current
    except BaseException:
        os.close(current)
        raise


def _enter(root_fd: int, parent_fd: int, walked: list[bytes], uid: int, gid: int, mode: int) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY
    name = b"/".join(walked)
    try:
        return open_beneath(root_fd, name, flags)
    except FileNotFoundError:
        pass
    try:
        os.mkdir(walked[-1], mode, dir_fd=parent_fd)
    except FileExistsError:  # a link to what is not there
        return open_beneath(root_fd, name, flags)
    descriptor = open_beneath(parent_fd, walked[-1], flags, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    os.fchown(descriptor, uid, gid)
    os.fchmod(descriptor, mode)
    return descriptor


def remove_tree(parent_fd: int, name: str | bytes) -> None:
    """``rm -rf`` of one name in an open directory; links are removed, never followed.

    A tree of any depth takes two descriptors and no recursion: whoever made it may have made it deep.
    """
    if _removed(parent_fd, os.fsencode(name)):
        return
    top = os.open(name, _DIRECTORY, dir_fd=parent_fd)
    moved = itertools.count()
    try:
        while names := os.listdir(top):
            for child in map(os.fsencode, names):
                if not _removed(top, child):
                    _flatten(top, child, moved)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent_fd)


def _removed(parent_fd: int, name: bytes) -> bool:
    """Whether it could be removed at once: all but directories with something in them."""
    try:
        os.unlink(name, dir_fd=parent_fd)
        return True
    except IsADirectoryError:
        pass
    try:
        os.rmdir(name, dir_fd=parent_fd)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _flatten(top: int, name: bytes, moved: Iterator[int]) -> None:
    """Remove a directory; those in it come to lie beside it first."""
    descriptor = os.open(name, _DIRECTORY, dir_fd=top)
    token = os.urandom(8).hex()
    try:
        for child in map(os.fsencode, os.listdir(descriptor)):
            if not _removed(descriptor, child):
                os.rename(child, f"{token}-{next(moved)}".encode(), src_dir_fd=descriptor, dst_dir_fd=top)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=top)
