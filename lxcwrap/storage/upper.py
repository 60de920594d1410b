"""What is above the layers, in any driver's form: compared with them, and made a layer itself."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from lxcwrap.archive import xattrs
from lxcwrap.archive.whiteouts import META, OPAQUE, PREFIX, Form, is_opaque, is_overlay_whiteout
from lxcwrap.kernel import beneath
from lxcwrap.storage.below import Holders, Layers
from lxcwrap.storage.changes import ADDED, CHANGED, DELETED, Change, differs, runtime_made, same_content, shown

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_OVERLAY = "trusted.overlay."
_KEPT = "trusted.overlay.opaque"


def changes(upper: str, lowers: tuple[str, ...], id_base: int, form: Form) -> Iterator[Change]:
    """Sorted by path; a directory is changed when something in it is, as Docker counts."""
    found = compare(upper, lowers, id_base, form)
    yield from (Change(shown(path), kind) for path, kind in sorted(found.items()))


def compare(upper: str, lowers: tuple[str, ...], id_base: int, form: Form) -> dict[bytes, str]:
    """Kind of change by relative path.  ``form`` is that of ``upper``; NONE: it is a whole copy (vfs)."""
    root = os.open(upper, _DIRECTORY | os.O_CLOEXEC)
    try:
        with Layers(lowers, _below(form)) as layers:
            comparison = _Comparison(root, layers, id_base, form)
            comparison.run()
    finally:
        os.close(root)
    return comparison.found


def _below(form: Form) -> Form:
    """The form of the layers: all but overlay keep them as AUFS does."""
    return Form.OVERLAY if form is Form.OVERLAY else Form.AUFS


def ours(upper: str, lowers: tuple[str, ...], id_base: int, form: Form) -> frozenset[bytes]:
    """Paths in ``upper`` that the runtime made as mount points."""
    root = os.open(upper, _DIRECTORY | os.O_CLOEXEC)
    try:
        with Layers(lowers, _below(form)) as layers:
            return runtime_made(root, layers.find, id_base)
    finally:
        os.close(root)


class _Comparison:
    """``found``: kind of change by relative path."""

    def __init__(self, root: int, layers: Layers, id_base: int, form: Form) -> None:
        self._form = form
        self._root = root
        self._layers = layers
        self._id_base = id_base
        self._skip = runtime_made(root, layers.find, id_base)
        self.found: dict[bytes, str] = {}

    def run(self) -> None:
        pending: list[tuple[bytes, Holders, bool]] = [(b"", self._layers.root, self._form is Form.NONE)]
        while pending:
            path, holders, whole = pending.pop()
            descriptor = beneath.open_beneath(self._root, path, _DIRECTORY, resolve=beneath.STRICT)
            try:
                names = list(map(os.fsencode, os.listdir(descriptor)))
                if whole:
                    self._note_missing(holders, path, set(names))
                for name in names:
                    child = path + b"/" + name if path else name
                    below = None if child in self._skip else self._visit(descriptor, name, child, holders)
                    if below is not None:
                        opaque = bool(below) and self._is_opaque(descriptor, name)
                        pending.append((child, below, whole or opaque))
            finally:
                os.close(descriptor)

    def _visit(self, parent: int, name: bytes, path: bytes, holders: Holders) -> Holders | None:
        """Note one entry; of a directory returns the layers that share in it."""
        if self._form is Form.AUFS and name.startswith(PREFIX):
            hidden = path[: -len(name)] + name[len(PREFIX) :]
            if not name.startswith(META) and self._layers.lookup(holders, hidden):
                self._note(hidden, DELETED)
            return None
        now = os.stat(name, dir_fd=parent, follow_symlinks=False)
        before = self._layers.lookup(holders, path)
        if self._form is Form.OVERLAY and is_overlay_whiteout(now):
            if before:
                self._note(path, DELETED)
            return None
        if not before:
            self._note(path, ADDED)
        elif differs(before, now, 0, self._id_base, exact=self._form is not Form.NONE) or not self._same(
            parent, name, path, holders
        ):
            self._note(path, CHANGED)
        if not stat.S_ISDIR(now.st_mode):
            return None
        return self._layers.enter(holders, path) if before else ()

    def _same(self, parent: int, name: bytes, path: bytes, holders: Holders) -> bool:
        """Whether what looks alike is alike: a file may get its old time back, attributes have none."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            now = os.open(name, flags, dir_fd=parent)
        except OSError:  # a link, a node without a driver: nothing more to compare
            return True
        try:
            before = self._layers.open(holders, path, flags)
            try:
                return same_content(before, now)
            finally:
                os.close(before)
        finally:
            os.close(now)

    def _is_opaque(self, parent: int, name: bytes) -> bool:
        descriptor = os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            return (
                OPAQUE in map(os.fsencode, os.listdir(descriptor)) if self._form is Form.AUFS else is_opaque(descriptor)
            )
        finally:
            os.close(descriptor)

    def _note_missing(self, holders: Holders, path: bytes, now: set[bytes]) -> None:
        """What a directory had that is a whole copy, or was removed and made again."""
        for gone in self._layers.names(holders, path) - now:
            self._note(path + b"/" + gone if path else gone, DELETED)

    def _note(self, path: bytes, kind: str) -> None:
        self.found[path] = kind
        above = path.rpartition(b"/")[0]
        while above and above not in self.found:
            self.found[above] = CHANGED
            above = above.rpartition(b"/")[0]


def cleanse(upper: str, remove: frozenset[bytes], id_base: int, latest: int | None = None) -> None:
    """Make ``upper`` a layer: without ``remove`` and overlay's bookkeeping, ids as in the container.

    ``latest``: no time later than this (seconds since the epoch) stays.  Nobody may be using the tree.
    """
    root = os.open(upper, _DIRECTORY | os.O_CLOEXEC)
    try:
        for path in sorted(remove, reverse=True):
            _remove(root, path)
        _tidy(root, id_base)
        pending = [b""]
        while pending:
            path = pending.pop()
            descriptor = beneath.open_beneath(root, path, _DIRECTORY, resolve=beneath.STRICT)
            try:
                for name in map(os.fsencode, os.listdir(descriptor)):
                    if _cleanse_entry(descriptor, name, id_base, latest):
                        pending.append(path + b"/" + name if path else name)
            finally:
                os.close(descriptor)
    finally:
        os.close(root)


def _remove(root: int, path: bytes) -> None:
    """Remove a mount point; its directory keeps its time."""
    above, _, base = path.rpartition(b"/")
    parent = beneath.open_beneath(root, above, _DIRECTORY, resolve=beneath.STRICT)
    try:
        before = os.fstat(parent)
        beneath.remove_tree(parent, base)
        os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(parent)


def _cleanse_entry(parent: int, name: bytes, id_base: int, latest: int | None) -> bool:
    """Returns whether it is a directory."""
    now = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if is_overlay_whiteout(now):
        return False
    kind = stat.S_IFMT(now.st_mode)
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        try:
            _tidy(descriptor, id_base)
        finally:
            os.close(descriptor)
    elif id_base and now.st_uid >= id_base and now.st_gid >= id_base:
        os.chown(name, now.st_uid - id_base, now.st_gid - id_base, dir_fd=parent, follow_symlinks=False)
    if latest is not None and now.st_mtime_ns > latest * 10**9:
        os.utime(name, ns=(latest * 10**9, latest * 10**9), dir_fd=parent, follow_symlinks=False)
    return kind == stat.S_IFDIR


def _tidy(descriptor: int, id_base: int) -> None:
    """Take the ids back; mode and capabilities, which chown(2) clears, are put back; overlay's marks go."""
    for name in os.listxattr(descriptor):
        if name.startswith(_OVERLAY) and name != _KEPT:
            os.removexattr(descriptor, name)
    now = os.fstat(descriptor)
    if not id_base or now.st_uid < id_base or now.st_gid < id_base:
        return
    attributes = xattrs.read(descriptor)
    os.fchown(descriptor, now.st_uid - id_base, now.st_gid - id_base)
    if now.st_mode & 0o6000:
        os.fchmod(descriptor, stat.S_IMODE(now.st_mode))
    if xattrs.CAPABILITY in attributes:
        xattrs.write(descriptor, {xattrs.CAPABILITY: attributes[xattrs.CAPABILITY]})
