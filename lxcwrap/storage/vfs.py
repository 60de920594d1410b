"""Full copies, for kernels and file systems with nothing better.

Each layer is stored once, its whiteouts as in tars; a container gets a copy of all of them, in its own ids.
"""

from __future__ import annotations

import os

from lxcwrap.kernel import mount as kernel

TYPE_CHECKING = False  # as typing has it, without loading typing
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxcwrap.archive.compression import Sink, Source
    from lxcwrap.archive.write import TreeWriter
    from lxcwrap.storage.changes import Change

RANK = 9
APART = False


def unsupported(directory: str = "") -> str:
    """Copies work everywhere."""
    return ""


def no_user_namespaces(directory: str) -> str:
    """A copy has whatever ids it is given."""
    return ""


def prepare(place: str, lowers: tuple[str, ...], id_base: int | None) -> None:
    """Copy all layers into ``copy``, lowest first."""
    from functools import partial

    from lxcwrap.archive.extract import Owners, extract
    from lxcwrap.archive.pipeline import transfer
    from lxcwrap.archive.whiteouts import Form

    copy = f"{place}/copy"
    os.mkdir(copy, 0o755)
    os.chown(copy, id_base or 0, id_base or 0)
    os.chmod(copy, os.stat(lowers[-1]).st_mode & 0o7777 if lowers else 0o755)
    owners = Owners(id_base=id_base or 0)
    for lower in lowers:
        transfer(partial(write_layer, lower), lambda tar: extract(tar, copy, whiteouts=Form.APPLIED, owners=owners))


def mount(place: str, lowers: tuple[str, ...], target: str, id_base: int | None, *, volatile: bool = False) -> None:
    """Bind the copy to ``target`` in the caller's own mount namespace.  Raises OSError."""
    kernel.bind(f"{place}/copy", target)


def changes(place: str, lowers: tuple[str, ...], id_base: int | None) -> Iterator[Change]:
    """The copy, compared with the layers."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.storage import upper

    return upper.changes(f"{place}/copy", lowers, id_base or 0, Form.NONE)


def write_diff(place: str, lowers: tuple[str, ...], id_base: int | None, out: Sink) -> None:
    """What differs from the layers, as a layer's tar."""
    _write_changes(place, lowers, id_base, out, None)


def _write_changes(place: str, lowers: tuple[str, ...], id_base: int | None, out: Sink, latest: int | None) -> None:
    from lxcwrap.archive.header import build
    from lxcwrap.archive.whiteouts import PREFIX, Form
    from lxcwrap.archive.write import TreeWriter
    from lxcwrap.storage.changes import DELETED
    from lxcwrap.storage.upper import compare

    found = compare(f"{place}/copy", lowers, id_base or 0, Form.NONE)
    writer = TreeWriter(out, id_base=id_base or 0, latest=latest)
    root = os.open(f"{place}/copy", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in sorted(found, key=lambda path: path.split(b"/")):
            above, slash, base = path.rpartition(b"/")
            if found[path] == DELETED:
                out.write(build(above + slash + PREFIX + base, b"0"))
            else:
                _write_one(writer, root, path)
    finally:
        os.close(root)
    writer.end()


def _write_one(writer: TreeWriter, root: int, path: bytes) -> None:
    """One entry; of a directory only itself, since what changed in it is named too."""
    from lxcwrap.kernel.beneath import STRICT, open_beneath

    above, _, base = path.rpartition(b"/")
    parent = open_beneath(root, above, os.O_RDONLY | os.O_DIRECTORY, resolve=STRICT)
    try:
        writer.alone(parent, base, path)
    finally:
        os.close(parent)


def extract(stream: Source, staged: str) -> int:
    """A layer's tar into ``<staged>/diff``."""
    from lxcwrap.archive.extract import extract as unpack
    from lxcwrap.archive.whiteouts import Form

    os.mkdir(f"{staged}/diff", 0o755)
    return unpack(stream, f"{staged}/diff", whiteouts=Form.AUFS)


def seal(place: str, staged: str, lowers: tuple[str, ...], id_base: int | None, *, latest: int | None = None) -> None:
    """Copy what differs into ``<staged>/diff``."""
    from lxcwrap.archive.pipeline import transfer

    transfer(
        lambda out: _write_changes(place, lowers, id_base, out, latest),
        lambda tar: extract(tar, staged),
    )


def write_layer(directory: str, out: Sink) -> None:
    """The canonical tar of a stored layer."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.archive.write import write_tree

    write_tree(directory, out, whiteouts=Form.AUFS)
