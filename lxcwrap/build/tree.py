"""What COPY and ADD read from: a context or the files of a stage or image, never anything outside of it.

Paths are relative to the tree's root, without a slash at either end; '' is the root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from lxcwrap.build.ignore import Ignore, compile_pattern
from lxcwrap.kernel.beneath import open_beneath, open_root

_WILD = frozenset("*?[")


@dataclass(frozen=True)
class Entry:
    """A file of a tree; ``name`` is its path beneath the source that was asked for ('' for the source itself)."""

    path: str
    name: str
    status: os.stat_result


@dataclass(frozen=True)
class Found:
    """What a source names: ``path`` with links resolved, and ``name``, what it was called before."""

    path: str
    name: str


class Tree:
    """An open directory.  ``is_context``: owners do not count, .dockerignore does."""

    def __init__(self, root: str, ignore: Ignore | None = None, *, is_context: bool = False) -> None:
        self.root = os.path.realpath(root)
        self.ignore = ignore or Ignore()
        self.is_context = is_context
        self.descriptor = open_root(self.root)

    def close(self) -> None:
        os.close(self.descriptor)

    def find(self, pattern: str) -> list[Found]:
        """What a source names: itself, links followed beneath the root, or what its wildcards fit.

        Empty when there is none.  Raises FileNotFoundError for a link that a wildcard fits and that leads nowhere.
        """
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        paths = ["/".join(parts)]
        if is_wild(pattern):
            paths = [""]
            for part in parts:
                paths = [path for folder in paths for path in self._fitting(folder, part)]
        found = []
        for path in paths:
            real = self.real_path(path)
            if real is None and is_wild(pattern) and not self.ignore.ignores(path):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            if real is not None and self._visible(path) and self._visible(real):
                found.append(Found(real, os.path.basename(path)))
        return found

    def _visible(self, path: str) -> bool:
        """Whether it belongs to the context: a folder that is ignored does when an exception lets something through."""
        if not self.ignore.ignores(path):
            return True
        if not self.ignore.has_exceptions or not stat.S_ISDIR(self.status(path).st_mode):
            return False
        return next(self._below(path, ""), None) is not None

    def real_path(self, path: str) -> str | None:
        """The path with every link resolved beneath the root; None when there is nothing."""
        try:
            descriptor = open_beneath(self.descriptor, path, os.O_PATH)
        except OSError:
            return None
        try:
            absolute = os.readlink(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return os.path.relpath(absolute, self.root) if absolute != self.root else ""

    def _fitting(self, folder: str, part: str) -> list[str]:
        if part == "..":
            return [os.path.dirname(folder)]
        if not is_wild(part):
            path = f"{folder}/{part}" if folder else part
            return [path] if self.real_path(path) is not None else []
        regex = compile_pattern(part.replace("**", "*"))
        return [f"{folder}/{name}" if folder else name for name in self.names(folder) if regex.fullmatch(name)]

    def names(self, folder: str) -> list[str]:
        """The sorted names in a directory; empty when it is none."""
        try:
            descriptor = self.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return []
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def open(self, path: str, flags: int) -> int:
        """A descriptor of a file of the tree."""
        return open_beneath(self.descriptor, path, flags)

    def status(self, path: str) -> os.stat_result:
        descriptor = self.open(path, os.O_PATH | os.O_NOFOLLOW)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def walk(self, path: str) -> Iterator[Entry]:
        """The source and everything below it that is not ignored, folders before what they hold, sorted."""
        status = self.status(path)
        yield Entry(path, "", status)
        if stat.S_ISDIR(status.st_mode):
            yield from self._below(path, "")

    def _below(self, folder: str, prefix: str) -> Iterator[Entry]:
        descriptor = self.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found = [
                (name, os.stat(name, dir_fd=descriptor, follow_symlinks=False))
                for name in sorted(os.listdir(descriptor))
            ]
        finally:
            os.close(descriptor)
        for name, status in found:
            path = f"{folder}/{name}" if folder else name
            below = f"{prefix}/{name}" if prefix else name
            if stat.S_ISDIR(status.st_mode):
                yield from self._folder(Entry(path, below, status))
            elif not self.ignore.ignores(path):
                yield Entry(path, below, status)

    def _folder(self, entry: Entry) -> Iterator[Entry]:
        """A folder that is ignored appears all the same when an exception lets something in it through."""
        if not self.ignore.ignores(entry.path):
            yield entry
            yield from self._below(entry.path, entry.name)
        elif self.ignore.has_exceptions:
            inner = list(self._below(entry.path, entry.name))
            if inner:
                yield entry
                yield from inner


def is_wild(pattern: str) -> bool:
    """Whether a source names what fits, be it nothing at all, and not one file that must be there."""
    return bool(_WILD & set(pattern))
