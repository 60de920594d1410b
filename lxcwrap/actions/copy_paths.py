"""Paths of ``cp``, on either side, by Docker's rules; each is resolved beneath the root of its side.

On the host the root is ``/``.  In a container it is the container's: no link leads out of it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from dataclasses import dataclass

from lxcwrap.errors import Conflict, NotFound
from lxcwrap.kernel import beneath

_LINKS = 40  # as many as the kernel follows (path_resolution(7))


@dataclass(frozen=True)
class Side:
    """One end of a copy.  ``name`` is for messages: '' is the host; ids on disk are ``id_base`` higher.

    ``read_only``: the container was made with a root file system that nothing shall write to.
    """

    root: int
    name: str = ""
    id_base: int = 0
    read_only: bool = False
    kind: str = "container"

    def check_writable(self, directory: int, path: str) -> None:
        """Raises Conflict for a directory of a read-only root file system; volumes on it can be written to."""
        if self.read_only and os.fstat(directory).st_dev == os.fstat(self.root).st_dev:
            raise Conflict(f"{self.shown(path)}: the container's root file system is read-only")

    def shown(self, path: str) -> str:
        return f"{self.name}:{path}" if self.name else path


@dataclass(frozen=True)
class Spot:
    """A name in an open directory; ``status`` is None when nothing is there."""

    parent: int
    base: bytes
    status: os.stat_result | None

    @property
    def is_directory(self) -> bool:
        return self.status is not None and stat.S_ISDIR(self.status.st_mode)

    def close(self) -> None:
        os.close(self.parent)

    def open(self, flags: int) -> int:
        return os.open(self.base or b".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.parent)


def split(argument: str) -> tuple[str, str]:
    """(container or '', path): ``web:/etc``, ``./a:b``, ``/x``, ``-``."""
    if argument.startswith(("/", ".")) or argument == "-" or ":" not in argument:
        return "", argument
    container, _, path = argument.partition(":")
    return container, path


def contents_only(path: str) -> bool:
    """Whether ``path`` means what is in a directory rather than the directory: ``etc/.``."""
    return path == "." or path.endswith("/.")


def locate(side: Side, path: str, *, follow: bool) -> Spot:
    """Where ``path`` is; with ``follow`` a link at the end is followed.  The parent directory must be there.

    Raises NotFound, or Conflict when something on the way or before a trailing slash is no directory.
    """
    following = follow or path.endswith("/")
    wanted = posixpath.join("/", path)
    for _ in range(_LINKS):
        spot = _lookup(side, wanted, path)
        if not (following and spot.status and stat.S_ISLNK(spot.status.st_mode)):
            break
        link = os.fsdecode(os.readlink(spot.base, dir_fd=spot.parent))
        spot.close()
        wanted = posixpath.join(posixpath.dirname(wanted.rstrip("/")), link)
    else:
        raise Conflict(f"{side.shown(path)}: too many levels of symbolic links")
    must_be_directory = path.endswith("/") or contents_only(path)
    if must_be_directory and spot.status and not spot.is_directory:
        spot.close()
        raise Conflict(f"{side.shown(path)}: not a directory")
    return spot


def _lookup(side: Side, wanted: str, asked: str) -> Spot:
    """One step, without following the last part."""
    above, base = posixpath.split(wanted.rstrip("/"))
    if base in ("", ".", ".."):  # a directory by any name: the root, itself, its parent
        above, base = wanted, ""
    try:
        parent = beneath.open_beneath(side.root, above or "/", os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _explained(side, asked, error) from None
    try:
        status = os.stat(base or ".", dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        status = None
    return Spot(parent, os.fsencode(base), status)


def _explained(side: Side, path: str, error: OSError) -> Exception:
    if error.errno == errno.ENOENT:
        return NotFound(f"{side.shown(path)}: no such file or directory")
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return Conflict(f"{side.shown(path)}: {(error.strerror or '').lower()}")
    return OSError(error.errno, error.strerror, side.shown(path))


def name_of(path: str) -> bytes:
    """What a copy of ``path`` is called in the directory it is put into."""
    return os.fsencode(posixpath.basename(posixpath.normpath(posixpath.join("/", path))))
