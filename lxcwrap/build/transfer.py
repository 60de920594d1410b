"""Files from a tree into a stage's mounted rootfs: the work of COPY, and of ADD once it has its files.

Every path is resolved beneath the rootfs, so that links in an image stay inside of it.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from lxcwrap.archive import xattrs
from lxcwrap.build.fingerprint import read_link
from lxcwrap.build.line import Line
from lxcwrap.build.tree import Entry, Tree
from lxcwrap.errors import BuildError
from lxcwrap.kernel import beneath
from lxcwrap.runtime import users

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LIMIT = 64  # target directories kept open
_BLOCK = 1 << 30
_LINK_LIMIT = 40  # as the kernel's


@dataclass(frozen=True)
class Attributes:
    """What the copies get instead of their sources' own: ``owner`` (uid, gid) and ``mode``; None keeps them."""

    owner: tuple[int, int] | None = None
    mode: int | None = None


def owner(rootfs: str, text: str, line: Line) -> tuple[int, int]:
    """``user[:group]`` by the rootfs' own accounts; a number alone is the group too.  Raises BuildError."""
    if text.isascii() and text.isdigit():
        return int(text), int(text)
    try:
        found = users.resolve(text, (), _read(rootfs, "etc/passwd"), _read(rootfs, "etc/group"))
    except users.UnknownUser as error:
        raise line.error(str(error)) from None
    return found.uid, found.gid


def _read(rootfs: str, path: str) -> str:
    try:
        return beneath.read_file(rootfs, path).decode(errors="replace")
    except OSError:
        return ""


class Transfer:
    """Copies into one rootfs on behalf of one instruction."""

    def __init__(self, rootfs: str, line: Line, attributes: Attributes) -> None:
        self.rootfs = rootfs
        self.line = line
        self.attributes = attributes
        self._root = beneath.open_root(rootfs)
        self._open: dict[str, int] = {}
        self._links: dict[tuple[int, int], str] = {}
        self._times: list[tuple[str, int]] = []

    def close(self) -> None:
        self._close_cached()
        os.close(self._root)

    def make_directory(self, path: str) -> int:
        """``mkdir -p``; returns a descriptor for the caller to close.  Raises BuildError."""
        uid, gid = self.attributes.owner or (0, 0)
        try:
            return beneath.make_directories(self._root, path, uid, gid)
        except OSError as error:
            raise self._failed(path, error) from error

    def copy(self, tree: Tree, source: str, name: str, target: str) -> None:
        """One source; a folder's content goes into ``target``, a file into it when it is or ends as a folder.

        There the file is called ``name``, which is the link's name where the source is one.
        """
        self._links.clear()  # each source is a copy of its own; a later one may replace what an earlier one made
        status = tree.status(source)
        if stat.S_ISDIR(status.st_mode):
            self._copy_folder(tree, source, target)
            return
        folder, name = self.place(target, name)
        self._put(tree, Entry(source, name, status), folder, name)
        self._finish()

    def place(self, target: str, name: str) -> tuple[str, str]:
        """The directory and name that a file called ``name`` gets, the directory made."""
        if target.endswith("/") or self._is_directory(target):
            folder = target.rstrip("/") or "/"
        else:
            folder, name = os.path.split(self._behind_links(target))
        os.close(self.make_directory(folder))
        return folder, name

    def directory(self, path: str) -> int:
        """An open directory of the rootfs, kept for the next file.  Raises BuildError."""
        if path not in self._open:
            if len(self._open) >= _OPEN_LIMIT:
                self._close_cached()
            try:
                self._open[path] = beneath.open_beneath(self._root, path, _DIRECTORY)
            except OSError as error:
                raise self._failed(path, error) from error
        return self._open[path]

    def _copy_folder(self, tree: Tree, source: str, target: str) -> None:
        base = self._behind_links(target).rstrip("/")
        for entry in tree.walk(source):
            if not entry.name:
                os.close(self.make_directory(base or "/"))
                continue
            folder, _, name = f"{base}/{entry.name}".rpartition("/")
            self._put(tree, entry, folder or "/", name)
        self._finish()

    def _put(self, tree: Tree, entry: Entry, folder: str, name: str) -> None:
        parent = self.directory(folder)
        try:
            self._make(tree, entry, parent, folder, name)
        except OSError as error:
            raise self._failed(f"{folder.rstrip('/')}/{name}", error) from error

    def _make(self, tree: Tree, entry: Entry, parent: int, folder: str, name: str) -> None:
        mode = entry.status.st_mode
        if stat.S_ISDIR(mode):
            self._make_folder(tree, entry, parent, folder, name)
            return
        self._clear(parent, folder, name)
        if stat.S_ISREG(mode):
            self._file(tree, entry, parent, folder, name)
        elif stat.S_ISLNK(mode):
            os.symlink(read_link(tree, entry.path), name, dir_fd=parent)
            self._dress_name(tree, entry, parent, name)
        elif not tree.is_context and not stat.S_ISSOCK(mode):
            os.mknod(name, mode, entry.status.st_rdev, dir_fd=parent)
            self._dress_name(tree, entry, parent, name)

    def _clear(self, parent: int, folder: str, name: str) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            path = f"{folder.rstrip('/')}/{name}"
            raise self.line.error(f"{path} is a directory in the image, a file cannot take its place") from None

    def _make_folder(self, tree: Tree, entry: Entry, parent: int, folder: str, name: str) -> None:
        path = f"{folder.rstrip('/')}/{name}"
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not self._is_directory(path):
                raise self.line.error(f"{path} is a file in the image, a directory cannot take its place") from None
            return
        self._dress(tree, entry, self.directory(path))
        self._times.append((path, entry.status.st_mtime_ns))

    def _file(self, tree: Tree, entry: Entry, parent: int, folder: str, name: str) -> None:
        status = entry.status
        identity = (status.st_dev, status.st_ino)
        if identity in self._links:
            there, _, last = self._links[identity].rpartition("/")
            os.link(last, name, src_dir_fd=self.directory(there or "/"), dst_dir_fd=parent, follow_symlinks=False)
            return
        source = tree.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            self._write(tree, entry, source, parent, name)
        finally:
            os.close(source)
        if status.st_nlink > 1:
            self._links[identity] = f"{folder.rstrip('/')}/{name}"

    def _write(self, tree: Tree, entry: Entry, source: int, parent: int, name: str) -> None:
        made = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            _pump(source, made)
            self._dress(tree, entry, made, source)
            os.utime(made, ns=(entry.status.st_mtime_ns, entry.status.st_mtime_ns))
        finally:
            os.close(made)

    def _owner(self, entry: Entry, tree: Tree) -> tuple[int, int]:
        if self.attributes.owner:
            return self.attributes.owner
        return (0, 0) if tree.is_context else (entry.status.st_uid, entry.status.st_gid)

    def _dress(self, tree: Tree, entry: Entry, made: int, source: int = -1) -> None:
        """Owner first: changing it takes set-user-ID and capabilities away."""
        os.fchown(made, *self._owner(entry, tree))
        mode = self.attributes.mode
        os.fchmod(made, stat.S_IMODE(entry.status.st_mode) if mode is None else mode)
        if source >= 0 and not tree.is_context:
            xattrs.write(made, xattrs.read(source))

    def _dress_name(self, tree: Tree, entry: Entry, parent: int, name: str) -> None:
        status = entry.status
        os.chown(name, *self._owner(entry, tree), dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _finish(self) -> None:
        """Give folders the times that filling them changed."""
        for path, time in reversed(self._times):
            os.utime(self.directory(path), ns=(time, time))
        self._times.clear()

    def _is_directory(self, path: str) -> bool:
        try:
            descriptor = beneath.open_beneath(self._root, path, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return False
        os.close(descriptor)
        return True

    def _behind_links(self, target: str) -> str:
        """The path of the file that ``target`` leads to, where it is a link, be it to a file still to be made."""
        for _ in range(_LINK_LIMIT):
            path, link = self._followed(target)
            if not link:
                return path
            target = os.path.normpath(os.path.join("/", os.path.dirname(target), link))
        raise self.line.error(f"{self.line.keyword} to {target}: {os.strerror(errno.ELOOP)}")

    def _followed(self, target: str) -> tuple[str, str]:
        """(where it really is, '') of what is there or is nothing; of a link that leads nowhere what it says."""
        try:
            descriptor = beneath.open_beneath(self._root, target, os.O_PATH)
        except OSError:
            return target, self._dangling(target)
        try:
            absolute = os.readlink(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return "/" + os.path.relpath(absolute, os.path.realpath(self.rootfs)), ""

    def _dangling(self, target: str) -> str:
        try:
            descriptor = beneath.open_beneath(self._root, target, os.O_PATH | os.O_NOFOLLOW)
        except OSError:
            return ""
        try:
            return os.readlink("", dir_fd=descriptor)
        except OSError:
            return ""
        finally:
            os.close(descriptor)

    def _close_cached(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open = {}

    def _failed(self, path: str, error: OSError) -> BuildError | OSError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return error
        return self.line.error(f"{self.line.keyword} to {path}: {error.strerror}")


def _pump(source: int, target: int) -> None:
    """All bytes from one file to another, shared by the file system where it can."""
    try:
        while os.copy_file_range(source, target, _BLOCK):
            pass
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    while os.sendfile(target, source, None, _BLOCK):
        pass
