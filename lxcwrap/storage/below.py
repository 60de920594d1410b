"""The layers below a container as one tree, looked at without mounting anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from lxcwrap.archive.whiteouts import OPAQUE, PREFIX, Form, is_opaque, is_overlay_whiteout
from lxcwrap.kernel import beneath

Holders = tuple[int, ...]  # open layers that share in a directory, topmost first


class Layers:
    """Open layer directories.  Layers never change, and paths are walked from the root: no link is followed."""

    def __init__(self, lowers: Sequence[str], form: Form) -> None:
        """``lowers``: lowest first."""
        self._form = form
        self._opened: list[int] = []
        try:
            for lower in reversed(lowers):
                self._opened.append(beneath.open_root(lower))
        except BaseException:
            self.close()
            raise
        self.root: Holders = self._until_opaque(tuple(self._opened), b".")

    def __enter__(self) -> Layers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for descriptor in self._opened:
            os.close(descriptor)
        self._opened = []

    def lookup(self, holders: Holders, path: bytes) -> os.stat_result | None:
        """What ``path`` is in the merged tree; ``holders`` are those of its directory."""
        for holder in holders:
            found = _status(holder, path)
            if found and not self._hides(found):
                return found
            if found or self._hidden_by_name(holder, path):
                return None
        return None

    def open(self, holders: Holders, path: bytes, flags: int) -> int:
        """Open what ``lookup`` found."""
        for holder in holders:
            if _status(holder, path):
                return os.open(path, flags, dir_fd=holder)
        raise FileNotFoundError(path)

    def enter(self, holders: Holders, path: bytes) -> Holders:
        """The holders of the directory ``path``; () when it is none in the merged tree."""
        sharing: list[int] = []
        for holder in holders:
            found = _status(holder, path)
            if found:
                if not stat.S_ISDIR(found.st_mode):
                    break
                sharing.append(holder)
            elif self._hidden_by_name(holder, path):
                break
        return self._until_opaque(tuple(sharing), path)

    def find(self, path: bytes) -> os.stat_result | None:
        """As ``lookup``, from the root."""
        holders = self.root
        *above, _ = parts = path.split(b"/")
        for depth in range(len(above)):
            holders = self.enter(holders, b"/".join(parts[: depth + 1]))
        return self.lookup(holders, path)

    def names(self, holders: Holders, path: bytes) -> set[bytes]:
        """The merged directory's names."""
        names: set[bytes] = set()
        for holder in holders:
            names.update(name for name in _list(holder, path) if not self._is_mark(name))
        prefix = path + b"/" if path else b""
        return {name for name in names if self.lookup(holders, prefix + name)}

    def _until_opaque(self, holders: Holders, path: bytes) -> Holders:
        for number, holder in enumerate(holders):
            if self._opaque(holder, path):
                return holders[: number + 1]
        return holders

    def _opaque(self, holder: int, path: bytes) -> bool:
        if self._form is Form.AUFS:
            return _status(holder, path + b"/" + OPAQUE) is not None
        descriptor = _open(holder, path)
        try:
            return is_opaque(descriptor)
        finally:
            os.close(descriptor)

    def _hides(self, found: os.stat_result) -> bool:
        return self._form is Form.OVERLAY and is_overlay_whiteout(found)

    def _hidden_by_name(self, holder: int, path: bytes) -> bool:
        if self._form is not Form.AUFS:
            return False
        above, slash, base = path.rpartition(b"/")
        return _status(holder, above + slash + PREFIX + base) is not None

    def _is_mark(self, name: bytes) -> bool:
        return self._form is Form.AUFS and name.startswith(PREFIX)


def _status(holder: int, path: bytes) -> os.stat_result | None:
    try:
        return os.stat(path, dir_fd=holder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _open(holder: int, path: bytes) -> int:
    return os.open(path or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=holder)


def _list(holder: int, path: bytes) -> list[bytes]:
    descriptor = _open(holder, path)
    try:
        return list(map(os.fsencode, os.listdir(descriptor)))
    finally:
        os.close(descriptor)
