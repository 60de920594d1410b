"""A tar stream into a directory, beneath which everything stays.

Names with ``..`` are refused.  Links on the way to a name are followed as a process would whose root is the
directory, so that none leads out of it (openat2(2), RESOLVE_IN_ROOT); the last part is never followed.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from lxcwrap.archive import xattrs
from lxcwrap.archive.compression import Source
from lxcwrap.archive.reader import (
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Entry,
    Limits,
    TarReader,
)
from lxcwrap.archive.whiteouts import META, OPAQUE, OPAQUE_XATTR, PREFIX, Form
from lxcwrap.errors import Conflict, Unsafe
from lxcwrap.kernel import beneath

_OPEN_LIMIT = 64  # directories kept open between entries
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
# null, zero, full, random, urandom, kmsg-less console set: what every image may hold in its /dev (linux/major.h)
_HARMLESS = frozenset(((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)))


@dataclass(frozen=True)
class Owners:
    """Whose the extracted files are: ``id_base`` is added to ids; ``fixed`` (uid, gid) replaces the archive's."""

    id_base: int = 0
    fixed: tuple[int, int] | None = None


ROOT = Owners()


def extract(
    stream: Source,
    directory: str | int,
    *,
    whiteouts: Form = Form.NONE,
    limits: Limits | None = None,
    owners: Owners = ROOT,
    replace: bool = True,
) -> int:
    """Unpack an uncompressed tar into an existing directory (a path or a descriptor); returns the bytes read.

    Keeps owners, modes, times, hard links, devices that every container has, ``security.capability`` and
    ``user.*``.  With OVERLAY or AUFS the stream is a layer and its whiteouts get that form, with APPLIED they
    remove what is there; with NONE they are ordinary names.  Without ``replace`` a directory never gives way to
    something else, nor the reverse.
    Raises Corrupt, Unsafe, Conflict or OSError; what was unpacked until then stays.
    """
    reader = TarReader(stream, limits or Limits())
    root = os.dup(directory) if isinstance(directory, int) else os.open(directory, _DIRECTORY | os.O_CLOEXEC)
    tree = _Tree(root, whiteouts, owners, replace)
    try:
        for entry in reader:
            try:
                tree.place(entry, reader)
            except OSError as error:
                raise _explained(error, entry) from error
        tree.finish()
    finally:
        tree.close()
    return reader.consumed


def _explained(error: OSError, entry: Entry) -> OSError | Unsafe:
    """Failures that the archive is to blame for, in the user's words; a full disk stays what it is."""
    name = _shown(entry.name)
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EXDEV, errno.EISDIR):
        return Unsafe(f"archive entry {name}: {error.strerror}")
    if error.errno == errno.ENOENT:
        return Unsafe(f"archive entry {name}: its directory is a link that leads nowhere")
    return OSError(error.errno, error.strerror, name)


def clean_name(name: bytes) -> bytes:
    """A name relative to the root, without ``.`` and empty parts; b'' is the root.  Raises Unsafe for ``..``."""
    if name.startswith(b"./"):
        name = name[2:]
    if name.endswith(b"/"):
        name = name[:-1]
    if b"//" in name or b"./" in name or name[:1] in (b"/", b".") or name.endswith((b"/", b"/.", b"/..")):
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise Unsafe(f"archive entry {_shown(name)} climbs out with '..'")
        return b"/".join(parts)
    return name


class _Tree:
    """The directory being filled: keeps directories open, and their times for the end."""

    def __init__(self, root: int, form: Form, owners: Owners, replace: bool) -> None:
        self._root = root
        self._form = form
        self._owners = owners
        self._replace = replace
        self._open: dict[bytes, int] = {b"": root}
        self._times: dict[bytes, int] = {}
        self._whiteouts: set[bytes] = set()  # names that this archive hides in the layers below

    def place(self, entry: Entry, reader: TarReader) -> None:
        name = clean_name(entry.name)
        parent, _, base = name.rpartition(b"/")
        if self._form is not Form.NONE and base.startswith(PREFIX):
            self._whiteout(parent, base)
            return
        if self._whiteouts and self._form is Form.AUFS and name in self._whiteouts:
            os.unlink(PREFIX + base, dir_fd=self._parent(parent))
        if entry.kind == DIRECTORY:
            self._directory(entry, name, parent, base)
            return
        if not base:
            raise Unsafe("an archive entry that is not a directory has no name")
        self._dispatch(entry, reader, name, self._parent(parent), base)
        self._whiteouts.discard(name)

    def _dispatch(self, entry: Entry, reader: TarReader, name: bytes, parent: int, base: bytes) -> None:
        kind = entry.kind
        for attempt in (0, 1):
            try:
                if kind == REGULAR:
                    self._file(entry, reader, parent, base)
                elif kind == HARD_LINK:
                    self._hard_link(entry, name, parent, base)
                elif kind == SYMLINK:
                    self._symlink(entry, parent, base)
                else:
                    self._node(entry, parent, base)
                return
            except FileExistsError:
                if attempt:
                    raise
                self._clear(name, parent, base)
                parent = self._parent(name.rpartition(b"/")[0])

    def _clear(self, name: bytes, parent: int, base: bytes, *, for_directory: bool = False) -> None:
        """Make room for a later entry of the same name."""
        if not self._replace:
            _check_same_kind(name, parent, base, for_directory)
        beneath.remove_tree(parent, base)
        self._close_cached()
        below = name + b"/"
        for known in [path for path in self._times if path == name or path.startswith(below)]:
            del self._times[known]

    # -- directories

    def _parent(self, path: bytes) -> int:
        """An open directory beneath the root, made when the archive did not name it."""
        descriptor = self._open.get(path)
        if descriptor is not None:
            return descriptor
        if len(self._open) >= _OPEN_LIMIT:
            self._close_cached()
        try:
            descriptor = beneath.open_beneath(self._root, path, _DIRECTORY)
        except FileNotFoundError:
            descriptor = self._make_missing(path)
        self._open[path] = descriptor
        return descriptor

    def _make_missing(self, path: bytes) -> int:
        uid, gid = self._ids(0, 0)
        above = path
        while above:  # a time that does not depend on when this runs
            if not _exists(self._root, above):
                self._times.setdefault(above, 0)
            above = above.rpartition(b"/")[0]
        return beneath.make_directories(self._root, path, uid, gid)

    def _close_cached(self) -> None:
        for path, descriptor in self._open.items():
            if path:
                os.close(descriptor)
        self._open = {b"": self._root}

    def _directory(self, entry: Entry, name: bytes, parent: bytes, base: bytes) -> None:
        descriptor = self._root if not base else self._enter(name, self._parent(parent), base)
        try:
            self._dress(descriptor, entry)
            if name in self._whiteouts:
                self._whiteouts.discard(name)
                self._mark_opaque(descriptor)
        finally:
            if base and (name in self._open or len(self._open) >= _OPEN_LIMIT):
                os.close(descriptor)
            elif base:
                self._open[name] = descriptor
        self._times[name] = entry.mtime

    def _mark_opaque(self, descriptor: int) -> None:
        if self._form is Form.OVERLAY:
            os.setxattr(descriptor, OPAQUE_XATTR, b"y")
        else:
            _touch(descriptor, OPAQUE)

    def _enter(self, name: bytes, parent: int, base: bytes) -> int:
        """Open the directory ``base``, making it; anything else of that name gives way."""
        flags = _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            os.mkdir(base, 0o700, dir_fd=parent)
        except FileExistsError:
            try:
                return os.open(base, flags, dir_fd=parent)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
            self._clear(name, parent, base, for_directory=True)
            parent = self._parent(name.rpartition(b"/")[0])
            os.mkdir(base, 0o700, dir_fd=parent)
        return os.open(base, flags, dir_fd=parent)

    # -- everything else

    def _file(self, entry: Entry, reader: TarReader, parent: int, base: bytes) -> None:
        descriptor = os.open(base, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            if entry.sparse is not None:
                _write_sparse(descriptor, entry, reader)
            elif entry.size:
                for piece in reader.content():
                    _write_all(descriptor, piece)
            self._dress(descriptor, entry)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _hard_link(self, entry: Entry, name: bytes, parent: int, base: bytes) -> None:
        target = clean_name(entry.link)
        if target == name:
            return
        above, _, last = target.rpartition(b"/")
        shown = f"archive entry {_shown(name)}: hard link to {_shown(target)}"
        try:
            source = beneath.open_beneath(self._root, above, os.O_PATH | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            raise Unsafe(f"{shown}, which is not in the archive") from None
        try:
            os.link(last, base, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, PermissionError) as error:
            why = "which is not in the archive" if isinstance(error, FileNotFoundError) else "which cannot be linked"
            raise Unsafe(f"{shown}, {why}") from None
        finally:
            os.close(source)

    def _symlink(self, entry: Entry, parent: int, base: bytes) -> None:
        if not entry.link:
            raise Unsafe(f"archive entry {_shown(entry.name)}: a symbolic link to nothing")
        os.symlink(entry.link, base, dir_fd=parent)
        self._dress_name(entry, parent, base)

    def _node(self, entry: Entry, parent: int, base: bytes) -> None:
        if entry.kind == FIFO:
            os.mkfifo(base, 0o600, dir_fd=parent)
        else:
            _check_device(entry)
            os.mknod(base, 0o600 | stat.S_IFCHR, os.makedev(entry.major, entry.minor), dir_fd=parent)
        self._dress_name(entry, parent, base)

    # -- owner, mode, attributes, times

    def _ids(self, uid: int, gid: int) -> tuple[int, int]:
        if self._owners.fixed:
            uid, gid = self._owners.fixed
        base = self._owners.id_base
        if base and not (0 <= uid < 65536 and 0 <= gid < 65536):
            raise Unsafe(f"owner {uid}:{gid} is outside the 65536 ids of the container")
        if not (0 <= uid < 0xFFFFFFFF and 0 <= gid < 0xFFFFFFFF):
            raise Unsafe(f"owner {uid}:{gid} is not a user and group id")
        return base + uid, base + gid

    def _dress(self, descriptor: int, entry: Entry) -> None:
        """Owner first: changing it takes set-user-ID and capabilities away."""
        uid, gid = self._ids(entry.uid, entry.gid)
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, entry.mode)
        if entry.xattrs:
            xattrs.write(descriptor, entry.xattrs, self._owners.id_base)

    def _dress_name(self, entry: Entry, parent: int, base: bytes) -> None:
        uid, gid = self._ids(entry.uid, entry.gid)
        os.chown(base, uid, gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind != SYMLINK:
            _change_mode(parent, base, entry.mode)
        os.utime(base, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    # -- layers

    def _whiteout(self, parent: bytes, base: bytes) -> None:
        if base == OPAQUE:
            self._opaque(parent)
            return
        if base.startswith(META):
            return
        hidden = base[len(PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise Unsafe(f"archive entry {_shown(parent + b'/' + base)} hides its parent")
        name = parent + b"/" + hidden if parent else hidden
        directory = self._parent(parent)
        self._whiteouts.add(name)
        if self._form is Form.APPLIED:
            self._clear_if_there(name, directory, hidden)
        elif _exists(directory, hidden):  # it hides what is below, not what this archive brings
            self._whiteouts.discard(name)
            self._make_opaque_if_directory(directory, hidden)
        elif self._form is Form.AUFS:
            _touch(directory, base)
        else:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=directory)

    def _make_opaque_if_directory(self, directory: int, name: bytes) -> None:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            descriptor = os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                self._mark_opaque(descriptor)
            finally:
                os.close(descriptor)

    def _opaque(self, parent: bytes) -> None:
        directory = self._parent(parent)
        if self._form is Form.APPLIED:  # the mark comes before what its directory has anew
            for name in map(os.fsencode, os.listdir(directory)):
                self._clear_if_there(parent + b"/" + name if parent else name, directory, name)
                directory = self._parent(parent)
            return
        self._times.setdefault(parent, 0)
        self._mark_opaque(directory)

    def _clear_if_there(self, name: bytes, directory: int, base: bytes) -> None:
        self._whiteouts.discard(name)
        if _exists(directory, base):
            self._clear(name, directory, base)

    def finish(self) -> None:
        """Give directories the times that filling them changed."""
        for name, time in tuple(self._times.items()):
            parent, _, base = name.rpartition(b"/")
            if base:
                with suppress(FileNotFoundError):  # removed by another name, through a link
                    os.utime(base, ns=(time, time), dir_fd=self._parent(parent), follow_symlinks=False)
            else:
                os.utime(self._root, ns=(time, time))

    def close(self) -> None:
        self._close_cached()
        os.close(self._root)


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")[:200]


def _exists(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _check_same_kind(name: bytes, parent: int, base: bytes, for_directory: bool) -> None:
    """Raises Conflict when a directory would give way to something else, or the reverse."""
    is_directory = stat.S_ISDIR(os.stat(base, dir_fd=parent, follow_symlinks=False).st_mode)
    if is_directory != for_directory:
        there, new = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
        raise Conflict(f"cannot overwrite {there} {_shown(name)} with {new}")


def _touch(directory: int, name: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name, flags, 0o444, dir_fd=directory))


def _check_device(entry: Entry) -> None:
    """Raises Unsafe: for a node that gives access to more than every container has, or is overlay's whiteout."""
    if entry.kind != CHARACTER or (entry.major, entry.minor) not in _HARMLESS:
        kind = "character" if entry.kind == CHARACTER else "block"
        name = _shown(entry.name)
        raise Unsafe(f"archive entry {name} is the {kind} device {entry.major}:{entry.minor}, which is not allowed")


def _change_mode(parent: int, base: bytes, mode: int) -> None:
    """chmod(2) of a node just made, which must not be followed should it have become a link."""
    descriptor = os.open(base, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
            os.chmod(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def _write_sparse(descriptor: int, entry: Entry, reader: TarReader) -> None:
    pieces = reader.content()
    piece = memoryview(b"")
    for offset, length in entry.sparse or ():
        os.lseek(descriptor, offset, os.SEEK_SET)
        while length:
            if not piece:
                piece = next(pieces)
            _write_all(descriptor, piece[:length])
            piece, length = piece[length:], length - len(piece[:length])
    os.ftruncate(descriptor, entry.real_size)
