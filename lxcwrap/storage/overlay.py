"""The kernel's overlay: layers below, the container's changes in ``upper``.

Layers on disk are in overlay's own form (character device 0/0, ``trusted.overlay.opaque``).  In a user
namespace the layers are seen through one idmapped mount, and ``upper`` belongs to the mapped root.
Loaded by every supervisor: imports little.
Source: kernel Documentation/filesystems/overlayfs.rst; mount_setattr(2).
"""

from __future__ import annotations

import errno
import os

from lxcwrap.kernel import mount as kernel

TYPE_CHECKING = False  # as typing has it, without loading typing
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxcwrap.archive.compression import Sink, Source
    from lxcwrap.storage.changes import Change

RANK = 0
APART = True
_FIXED = ("redirect_dir=nofollow", "metacopy=off", "index=off")


def unsupported(directory: str = "") -> str:
    """Why overlay does not work here, with state in ``directory``; '' when it does."""
    from lxcwrap.storage import probe

    return probe.overlay(directory) if directory else probe.file_system("overlay")


def no_user_namespaces(directory: str) -> str:
    """Why layers cannot be idmapped here (kernel before 5.19, file system); '' when they can."""
    from lxcwrap.storage import probe

    return probe.idmapped_overlay(directory)


def prepare(place: str, lowers: tuple[str, ...], id_base: int | None) -> None:
    """Make ``upper`` and ``work``; the root directory's mode is that of the topmost layer."""
    owner = id_base or 0
    mode = os.stat(lowers[-1]).st_mode & 0o7777 if lowers else 0o755
    for name in ("upper", "work"):
        path = f"{place}/{name}"
        os.mkdir(path, 0o700)
        os.chown(path, owner, owner)
    os.chmod(f"{place}/upper", mode)


def mount(place: str, lowers: tuple[str, ...], target: str, id_base: int | None, *, volatile: bool = False) -> None:
    """Mount at ``target`` in the caller's own mount namespace.  Raises OSError."""
    _forget_volatile(place)
    if not lowers:
        empty = f"{place}/empty"
        os.makedirs(empty, 0o755, exist_ok=True)
        lowers = (empty,)
    if id_base is None:
        _overlay(place, lowers, target, volatile)
        return
    base, below = _common(lowers)
    attached = f"{place}/lowers"
    os.makedirs(attached, 0o700, exist_ok=True)
    _attach_idmapped(base, attached, id_base)
    try:
        _overlay(place, tuple(f"{attached}/{path}".rstrip("/") for path in below), target, volatile)
    finally:
        kernel.umount(attached, kernel.MNT_DETACH)  # overlay keeps what it needs


def _common(lowers: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The directory that holds all layers, and their paths below it."""
    base = os.path.commonpath(lowers)
    return base, tuple(lower[len(base) :].lstrip("/") for lower in lowers)


def _attach_idmapped(base: str, attached: str, id_base: int) -> None:
    """One idmapped view of all layers."""
    from lxcwrap.kernel.idmap import user_namespace

    namespace = user_namespace(id_base)
    try:
        tree = kernel.idmapped(base, namespace)
    finally:
        os.close(namespace)
    try:
        kernel.move_mount(tree, attached)
    finally:
        os.close(tree)


def _forget_volatile(place: str) -> None:
    """An overlay that was mounted volatile leaves a mark that refuses the next mount; see overlayfs.rst."""
    mark = f"{place}/work/work/incompat/volatile"
    try:
        os.unlink(f"{mark}/dirty")
        os.rmdir(mark)
    except (FileNotFoundError, NotADirectoryError):
        pass


def _overlay(place: str, lowers: tuple[str, ...], target: str, volatile: bool) -> None:
    try:
        _mount_new(place, lowers, target, volatile)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):  # no lowerdir+ (before 6.5), no fsopen (before 5.2)
            raise
        mount_classic(place, lowers, target, volatile)


def _mount_new(place: str, lowers: tuple[str, ...], target: str, volatile: bool) -> None:
    """By fsopen(2) and ``lowerdir+``: no limit from the option page."""
    context = kernel.fsopen("overlay")
    handles: list[int] = []
    try:
        for lower in reversed(lowers):
            kernel.fsconfig_string(context, "lowerdir+", _short(lower, handles))
        for key, name in (("upperdir", "upper"), ("workdir", "work")):
            kernel.fsconfig_string(context, key, _short(f"{place}/{name}", handles))
        for option in _FIXED:
            key, _, value = option.partition("=")
            kernel.fsconfig_string(context, key, value)
        if volatile:
            kernel.fsconfig_flag(context, "volatile")
        kernel.fsconfig_create(context)
        detached = kernel.fsmount(context)
    finally:
        os.close(context)
        for handle in handles:
            os.close(handle)
    try:
        kernel.move_mount(detached, target)
    finally:
        os.close(detached)


def _short(path: str, handles: list[int]) -> str:
    """A path that fits fsconfig's limit: itself, or by way of an open descriptor."""
    if len(os.fsencode(path)) <= kernel.STRING_LIMIT:
        return path
    handles.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    return f"/proc/self/fd/{handles[-1]}"


def mount_classic(place: str, lowers: tuple[str, ...], target: str, volatile: bool) -> None:
    """By mount(2), whose options fit one page: layers by short links from a working directory."""
    short = f"{place}/l"
    os.makedirs(short, 0o700, exist_ok=True)
    for number, lower in enumerate(lowers):
        link = f"{short}/{number}"
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(lower, link)
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(short)
        stacked = ":".join(str(number) for number in reversed(range(len(lowers))))
        options = [f"lowerdir={stacked}", "upperdir=../upper", "workdir=../work", *_FIXED]
        if volatile:
            options.append("volatile")
        kernel.mount("overlay", os.path.abspath(target), "overlay", 0, ",".join(options))
    finally:
        os.fchdir(before)
        os.close(before)


def changes(place: str, lowers: tuple[str, ...], id_base: int | None) -> Iterator[Change]:
    """What is in ``upper``, compared with the layers."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.storage import upper

    return upper.changes(f"{place}/upper", lowers, id_base or 0, Form.OVERLAY)


def write_diff(place: str, lowers: tuple[str, ...], id_base: int | None, out: Sink) -> None:
    """``upper`` as a layer's tar."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.archive.write import write_tree
    from lxcwrap.storage.upper import ours

    upper, base = f"{place}/upper", id_base or 0
    write_tree(upper, out, whiteouts=Form.OVERLAY, id_base=base, skip=ours(upper, lowers, base, Form.OVERLAY))


def extract(stream: Source, staged: str) -> int:
    """A layer's tar into ``<staged>/diff``."""
    from lxcwrap.archive.extract import extract as unpack
    from lxcwrap.archive.whiteouts import Form

    os.mkdir(f"{staged}/diff", 0o755)
    return unpack(stream, f"{staged}/diff", whiteouts=Form.OVERLAY)


def seal(place: str, staged: str, lowers: tuple[str, ...], id_base: int | None, *, latest: int | None = None) -> None:
    """Move ``upper`` to ``<staged>/diff``."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.storage.upper import cleanse, ours

    upper, base = f"{place}/upper", id_base or 0
    cleanse(upper, ours(upper, lowers, base, Form.OVERLAY), base, latest)
    os.rename(upper, f"{staged}/diff")


def write_layer(directory: str, out: Sink) -> None:
    """The canonical tar of a stored layer."""
    from lxcwrap.archive.whiteouts import Form
    from lxcwrap.archive.write import write_tree

    write_tree(directory, out, whiteouts=Form.OVERLAY)
