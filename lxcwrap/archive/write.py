"""A directory tree as a tar, in one canonical form: the same tree gives the same bytes.

Names are sorted bytewise, a directory before what is in it; times are whole seconds; owners have no names;
sparse files are written in full.  The form is what diff IDs of our own layers are made of: changing it changes
them all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection

from lxcwrap.archive import header, xattrs
from lxcwrap.archive.compression import Sink
from lxcwrap.archive.whiteouts import META, OPAQUE, PREFIX, Form, is_opaque, is_overlay_whiteout
from lxcwrap.errors import Unsafe
from lxcwrap.kernel import beneath

CHUNK = 512 * 1024
_SECOND = 1_000_000_000
_OPEN_LIMIT = 100  # directories kept open on the way down
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_tree(
    directory: str | int,
    out: Sink,
    *,
    whiteouts: Form = Form.NONE,
    id_base: int = 0,
    latest: int | None = None,
    skip: Collection[bytes] = (),
) -> None:
    """The tar of everything in ``directory`` (a path or a descriptor), not of itself.

    Whiteouts of the named form become OCI's ``.wh.`` files.  ``id_base`` is taken off all ids.  ``latest`` (seconds
    since the epoch) is the latest time written.  ``skip``: paths relative to the directory that are left out.
    Raises Unsafe for names that a layer cannot hold, OSError.
    """
    writer = TreeWriter(out, whiteouts=whiteouts, id_base=id_base, latest=latest, skip=skip)
    root = os.dup(directory) if isinstance(directory, int) else os.open(directory, _DIRECTORY & ~os.O_NOFOLLOW)
    try:
        writer.tree(root)
    finally:
        os.close(root)
    writer.end()


class TreeWriter:
    """Writes trees and single files into one tar; see ``write_tree`` for the options."""

    def __init__(
        self,
        out: Sink,
        *,
        whiteouts: Form = Form.NONE,
        id_base: int = 0,
        latest: int | None = None,
        skip: Collection[bytes] = (),
    ) -> None:
        self._out = out
        self._form = whiteouts
        self._id_base = id_base
        self._latest = latest
        self._skip = frozenset(skip)
        self._links: dict[tuple[int, int], bytes] = {}

    def tree(self, root: int, prefix: bytes = b"") -> None:
        """Everything in the open directory ``root``; ``prefix`` ('' or 'name/') goes before each name."""
        stack: list[_Level] = [_Level(root, b"", os.dup(root))]
        try:
            self._enter(stack[0], prefix)
            while stack:
                level = stack[-1]
                if not level.names:
                    stack.pop().close()
                    continue
                base = level.names.pop()
                path = level.path + b"/" + base if level.path else base
                if path in self._skip:
                    continue
                below = self._entry(level.descriptor(), base, prefix + path)
                if below >= 0:
                    if len(stack) >= _OPEN_LIMIT:
                        stack[-_OPEN_LIMIT].close()
                    stack.append(_Level(root, path, below))
                    self._enter(stack[-1], prefix)
        finally:
            for level in stack:
                level.close()

    def _enter(self, level: _Level, prefix: bytes) -> None:
        """List a directory, last name first; an opaque one begins with its mark."""
        descriptor = level.descriptor()
        names = list(map(os.fsencode, os.listdir(descriptor)))
        where = prefix + level.path + b"/" if level.path else prefix
        if self._form is Form.OVERLAY and is_opaque(descriptor):
            self._out.write(header.build(where + OPAQUE, b"0"))
        elif self._form is Form.AUFS and OPAQUE in names:
            names.remove(OPAQUE)
            self._out.write(header.build(where + OPAQUE, b"0"))
        level.names = sorted(names, key=self._order, reverse=True)

    def _order(self, name: bytes) -> bytes:
        """A whiteout stands where what it hides would: the order does not depend on its form."""
        return name[len(PREFIX) :] if self._form is Form.AUFS and name.startswith(PREFIX) else name

    def entry(self, parent: int, base: bytes, name: bytes) -> None:
        """One file, link or node; of a directory itself and everything below it."""
        descriptor = self._entry(parent, base, name)
        if descriptor >= 0:
            try:
                self.tree(descriptor, name + b"/")
            finally:
                os.close(descriptor)

    def alone(self, parent: int, base: bytes, name: bytes) -> None:
        """One entry; of a directory only itself."""
        descriptor = self._entry(parent, base, name)
        if descriptor >= 0:
            os.close(descriptor)

    def directory(self, descriptor: int, name: bytes) -> None:
        """The entry of an open directory alone."""
        status = os.fstat(descriptor)
        attributes = xattrs.read(descriptor)
        self._out.write(self._header(name.rstrip(b"/") + b"/", b"5", status, xattrs_=attributes))

    def _entry(self, parent: int, base: bytes, name: bytes) -> int:
        """Write one entry; of a directory returns the open descriptor, else -1."""
        status = os.stat(base, dir_fd=parent, follow_symlinks=False)
        mode = status.st_mode
        if self._form is not Form.NONE and self._layer_entry(base, name, status):
            return -1
        if stat.S_ISDIR(mode):
            descriptor = os.open(base, _DIRECTORY, dir_fd=parent)
            self.directory(descriptor, name)
            return descriptor
        if status.st_nlink > 1 and not stat.S_ISSOCK(mode):
            first = self._links.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                self._out.write(self._header(name, b"1", status, link=first))
                return -1
        if stat.S_ISREG(mode):
            self._file(parent, base, name)
        elif stat.S_ISLNK(mode):
            self._out.write(self._header(name, b"2", status, link=os.readlink(base, dir_fd=parent)))
        elif stat.S_ISFIFO(mode):
            self._out.write(self._header(name, b"6", status))
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            device = os.major(status.st_rdev), os.minor(status.st_rdev)
            self._out.write(self._header(name, b"3" if stat.S_ISCHR(mode) else b"4", status, device=device))
        return -1  # a socket has no place in an archive

    def _layer_entry(self, base: bytes, name: bytes, status: os.stat_result) -> bool:
        """Whether this was a whiteout, in whatever form."""
        above = name[: -len(base)]
        if self._form is Form.OVERLAY:
            if is_overlay_whiteout(status):
                self._out.write(header.build(above + PREFIX + base, b"0"))
                return True
            if base.startswith(PREFIX):
                shown = name.decode(errors="replace")[:200]
                raise Unsafe(f"{shown}: a layer cannot hold names that begin with .wh.")
            return False
        if base.startswith(PREFIX) and not base.startswith(META):
            self._out.write(header.build(name, b"0"))
            return True
        return base.startswith(META)

    def _file(self, parent: int, base: bytes, name: bytes) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(base, flags, dir_fd=parent)
        try:
            self.file(descriptor, name)
        finally:
            os.close(descriptor)

    def file(self, descriptor: int, name: bytes) -> None:
        """An open regular file."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fsdecode(name))
        self._out.write(self._header(name, b"0", status, size=status.st_size, xattrs_=xattrs.read(descriptor)))
        self._content(descriptor, status.st_size)

    def _content(self, descriptor: int, size: int) -> None:
        """Exactly ``size`` bytes: a file that shrinks meanwhile is filled up, one that grows is cut."""
        left = size
        while left:
            piece = os.read(descriptor, min(left, CHUNK)) or bytes(min(left, CHUNK))
            self._out.write(piece)
            left -= len(piece)
        if size % header.BLOCK:
            self._out.write(bytes(-size % header.BLOCK))

    def _header(
        self,
        name: bytes,
        kind: bytes,
        status: os.stat_result,
        *,
        size: int = 0,
        link: bytes = b"",
        device: tuple[int, int] = (0, 0),
        xattrs_: dict[bytes, bytes] | None = None,
    ) -> bytes:
        mtime = status.st_mtime_ns // _SECOND
        return header.build(
            name,
            kind,
            mode=status.st_mode,
            uid=_shifted(status.st_uid, self._id_base),
            gid=_shifted(status.st_gid, self._id_base),
            size=size,
            mtime=mtime if self._latest is None else min(mtime, self._latest),
            link=link,
            device=device,
            xattrs=xattrs_,
        )

    def end(self) -> None:
        """The end of the archive."""
        self._out.write(header.END)


class _Level:
    """One directory on the way down; opened again when it was closed to save descriptors."""

    def __init__(self, root: int, path: bytes, opened: int) -> None:
        self._root = root
        self._opened = opened
        self.path = path
        self.names: list[bytes] = []

    def descriptor(self) -> int:
        if self._opened < 0:
            flags = os.O_RDONLY | os.O_DIRECTORY
            self._opened = beneath.open_beneath(self._root, self.path, flags, resolve=beneath.STRICT)
        return self._opened

    def close(self) -> None:
        if self._opened >= 0:
            os.close(self._opened)
        self._opened = -1


def _shifted(number: int, id_base: int) -> int:
    """An id on the host as the container's; one that is not the container's stays."""
    return number - id_base if id_base and number >= id_base else number
