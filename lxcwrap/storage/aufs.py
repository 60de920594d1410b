"""AUFS, for kernels that carry it: layers as read-only branches, the container's changes in ``upper``.

Its whiteouts are files named ``.wh.NAME``, which is also their form in layers' tars.
Source: aufs(5), "Mount Options" and "Whiteout".
"""

from __future__ import annotations

import os

from lxcwrap.kernel import mount as kernel

TYPE_CHECKING = False  # as typing has it, without loading typing
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxcwrap.archive.compression import Sink, Source
    from lxcwrap.storage.changes import Change

RANK = 1
APART = True
_PAGE = 4000  # bytes of options that one mount(2) takes, with room for the rest
_OWN = (b".wh..wh.aufs", b".wh..wh.plnk", b".wh..wh.orph")  # what AUFS keeps at the top of a writable branch


def unsupported(directory: str = "") -> str:
    """Why AUFS does not work here; '' when the kernel has it."""
    from lxcwrap.storage import probe

    return probe.file_system("aufs")


def no_user_namespaces(directory: str) -> str:
    """AUFS cannot show a branch under other ids."""
    return "aufs cannot map the ids of layers"


def prepare(place: str, lowers: tuple[str, ...], id_base: int | None) -> None:
    """Make the writable branch; its mode is that of the topmost layer."""
    os.mkdir(f"{place}/upper", 0o755)
    os.chmod(f"{place}/upper", os.stat(lowers[-1]).st_mode & 0o7777 if lowers else 0o755)


def mount(place: str, lowers: tuple[str, ...], target: str, id_base: int | None, *, volatile: bool = False) -> None:
    """Mount at ``target`` in the caller's own mount namespace.  Raises OSError."""
    first, *more = options(place, lowers)
    kernel.mount("none", target, "aufs", 0, first)
    for branches in more:
        kernel.mount("none", target, "aufs", kernel.MS_REMOUNT, branches)


def options(place: str, lowers: tuple[str, ...]) -> list[str]:
    """The options of the mount, and of the remounts that add the branches that do not fit."""
    found = [f"xino={place}/.aufs.xino,dio,dirperm1,br:{place}/upper=rw"]
    for lower in reversed(lowers):
        branch = f"{lower}=ro+wh"
        if len(found) == 1 and len(found[0]) + len(branch) < _PAGE:
            found[0] += ":" + branch
        elif len(found) > 1 and len(found[-1]) + len(branch) < _PAGE - len(",append:"):
            found[-1] += ",append:" + branch
        else:
            found.append("append:" + branch)
    return found


def changes(place: str, lowers: tuple[str, ...], id_base: int | None) -> Iterator[Change]:
    """What is in ``upper``, compared with the layers."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.storage import upper

    return upper.changes(f"{place}/upper", lowers, 0, Form.AUFS)


def write_diff(place: str, lowers: tuple[str, ...], id_base: int | None, out: Sink) -> None:
    """``upper`` as a layer's tar."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.archive.write import write_tree
    from lxcwrap.storage.upper import ours

    upper = f"{place}/upper"
    write_tree(upper, out, whiteouts=Form.AUFS, skip=ours(upper, lowers, 0, Form.AUFS))


def extract(stream: Source, staged: str) -> int:
    """A layer's tar into ``<staged>/diff``."""
    from lxcwrap.archive.extract import extract as unpack
    from lxcwrap.archive.whiteouts import Form

    os.mkdir(f"{staged}/diff", 0o755)
    return unpack(stream, f"{staged}/diff", whiteouts=Form.AUFS)


def seal(place: str, staged: str, lowers: tuple[str, ...], id_base: int | None, *, latest: int | None = None) -> None:
    """Move ``upper`` to ``<staged>/diff``, without what AUFS keeps for itself."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.storage.upper import cleanse, ours

    upper = f"{place}/upper"
    own = frozenset(name for name in _OWN if os.path.lexists(os.path.join(os.fsencode(upper), name)))
    cleanse(upper, ours(upper, lowers, 0, Form.AUFS) | own, 0, latest)
    os.rename(upper, f"{staged}/diff")


def write_layer(directory: str, out: Sink) -> None:
    """The canonical tar of a stored layer."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.archive.write import write_tree

    write_tree(directory, out, whiteouts=Form.AUFS)
