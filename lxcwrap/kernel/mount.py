"""Mounts and namespaces: one thin function per system call, errno turned into OSError.

Source: mount(2), umount2(2), unshare(2), setns(2), fsopen(2), fsconfig(2), fsmount(2), move_mount(2),
open_tree(2), mount_setattr(2).  Imports little: the supervisor of every container loads it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

CLONE_FS = 0x200
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

FSOPEN_CLOEXEC = 0x1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSMOUNT_CLOEXEC = 0x1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x100000

STRING_LIMIT = 255  # bytes of a value that fsconfig(2) takes

# The same numbers on every architecture that the kernel gained after 2019 or unified (asm-generic/unistd.h, x86).
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _checked(result: int, name: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def _call(number: int, *arguments: object, name: str | None = None) -> int:
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments), name)


def _text(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    """mount(2)."""
    _checked(_libc.mount(_text(source), _text(target), _text(kind), ctypes.c_ulong(flags), _text(options)), target)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(_text(target), ctypes.c_int(flags)), target)


def bind(source: str, target: str, *, recursive: bool = False, read_only: bool = False) -> None:
    """Bind-mount; ``read_only`` needs the second mount(2) that the kernel asks for."""
    mount(source, target, None, MS_BIND | (MS_REC if recursive else 0))
    if read_only:
        mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def setns(descriptor: int, kind: int = 0) -> None:
    """setns(2)."""
    _checked(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)))


def unshare_mounts() -> None:
    """A mount namespace of the caller's own: mounts made in it stay in it, and vanish with it."""
    unshare(CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_SLAVE)


@contextmanager
def private_namespace() -> Iterator[None]:
    """The calling thread has a mount namespace of its own while inside; the working directory is kept."""
    with _namespace_kept():
        unshare_mounts()
        yield


@contextmanager
def namespace_of(pid: int) -> Iterator[None]:
    """The calling thread is in the mount namespace of a process while inside."""
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _namespace_kept():
            _enter_mounts(namespace)
            yield
    finally:
        os.close(namespace)


def _enter_mounts(namespace: int) -> None:
    """setns(2) into a mount namespace, which only a thread may that shares its root directory with no other.

    A thread that was joined may still be on its way out.
    """
    unshare(CLONE_FS)
    setns(namespace, CLONE_NEWNS)


@contextmanager
def _namespace_kept() -> Iterator[None]:
    """Come back to the caller's mount namespace and working directory at the end."""
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    working = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            yield
        finally:
            _enter_mounts(before)
            os.fchdir(working)
    finally:
        os.close(working)
        os.close(before)


def fsopen(kind: str) -> int:
    """fsopen(2): a descriptor of a filesystem that is being configured."""
    return _call(_FSOPEN, _text(kind), ctypes.c_uint(FSOPEN_CLOEXEC), name=kind)


def fsconfig_string(descriptor: int, key: str, value: str) -> None:
    """fsconfig(2), FSCONFIG_SET_STRING; at most STRING_LIMIT bytes."""
    arguments = ctypes.c_int(descriptor), ctypes.c_uint(FSCONFIG_SET_STRING), _text(key), _text(value), ctypes.c_int(0)
    _call(_FSCONFIG, *arguments, name=f"{key}={value}")


def fsconfig_flag(descriptor: int, key: str) -> None:
    """fsconfig(2), FSCONFIG_SET_FLAG."""
    arguments = ctypes.c_int(descriptor), ctypes.c_uint(FSCONFIG_SET_FLAG), _text(key), None, ctypes.c_int(0)
    _call(_FSCONFIG, *arguments, name=key)


def fsconfig_create(descriptor: int) -> None:
    """fsconfig(2), FSCONFIG_CMD_CREATE: make the superblock."""
    _call(_FSCONFIG, ctypes.c_int(descriptor), ctypes.c_uint(FSCONFIG_CMD_CREATE), None, None, ctypes.c_int(0))


def fsmount(descriptor: int, attributes: int = 0) -> int:
    """fsmount(2): a detached mount of a configured filesystem."""
    return _call(_FSMOUNT, ctypes.c_int(descriptor), ctypes.c_uint(FSMOUNT_CLOEXEC), ctypes.c_uint(attributes))


def move_mount(descriptor: int, target: str) -> None:
    """move_mount(2): attach a detached mount at ``target``."""
    arguments = ctypes.c_int(descriptor), b"", ctypes.c_int(-100), _text(target)
    _call(_MOVE_MOUNT, *arguments, ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH), name=target)


def move_mount_onto(descriptor: int, target_fd: int) -> None:
    """move_mount(2): attach a detached mount at what ``target_fd`` is open on, so that no path is walked again."""
    flags = ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
    _call(_MOVE_MOUNT, ctypes.c_int(descriptor), b"", ctypes.c_int(target_fd), b"", flags)


def open_tree(path: str, *, recursive: bool = False) -> int:
    """open_tree(2) with OPEN_TREE_CLONE: a detached copy of the mount at ``path``."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return _call(_OPEN_TREE, ctypes.c_int(-100), _text(path), ctypes.c_uint(flags), name=path)


def mount_setattr(
    descriptor: int,
    *,
    set_: int = 0,
    clear: int = 0,
    propagation: int = 0,
    user_namespace: int = 0,
    recursive: bool = False,
) -> None:
    """mount_setattr(2) on a detached mount; ``propagation`` is MS_PRIVATE, MS_SLAVE or MS_SHARED."""
    attributes = _MountAttr(set_, clear, propagation, user_namespace)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    _call(_MOUNT_SETATTR, ctypes.c_int(descriptor), b"", ctypes.c_uint(flags), ctypes.byref(attributes), size)


def idmapped(path: str, user_namespace: int, *, recursive: bool = False) -> int:
    """A detached copy of the mount at ``path`` whose ids are mapped by a user namespace (kernel 5.12)."""
    tree = open_tree(path, recursive=recursive)
    try:
        mount_setattr(tree, set_=MOUNT_ATTR_IDMAP, user_namespace=user_namespace, recursive=recursive)
    except BaseException:
        os.close(tree)
        raise
    return tree
