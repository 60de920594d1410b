"""``cp``: files between the host and a container, running or not, or a volume, and tar streams to and from them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from lxcwrap.actions.container_files import opened
from lxcwrap.actions.copy_paths import Side, Spot, contents_only, locate, name_of
from lxcwrap.archive import compression
from lxcwrap.archive.compression import Sink, Source
from lxcwrap.archive.extract import Owners, extract
from lxcwrap.archive.pipeline import transfer
from lxcwrap.archive.tally import CountingWriter
from lxcwrap.archive.write import TreeWriter
from lxcwrap.errors import Conflict, NotFound
from lxcwrap.kernel import beneath
from lxcwrap.kernel.process import file_owner
from lxcwrap.store import volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

Place = AbstractContextManager[Side]  # a container or volume, open while files are copied

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True)
class Options:
    """``archive`` keeps owners (else root's in the container, the caller's on the host); ``follow`` is -L."""

    archive: bool = False
    follow: bool = False


def out_of(place: Place, source: str, target: str, options: Options) -> int:
    """From a container or volume to the host; returns the bytes written as a tar."""
    with place as inside, host_side() as host:
        return copy(inside, source, host, os.path.abspath(target) + ending(target), options)


def into(place: Place, source: str, target: str, options: Options) -> int:
    """From the host into a container or volume; returns the bytes written as a tar."""
    with place as inside, host_side() as host:
        return copy(host, os.path.abspath(source) + ending(source), inside, target, options)


def to_stream(place: Place, source: str, out: Sink, options: Options) -> None:
    """As a tar stream, with the ids that a container sees."""
    with place as inside:
        spot = _source(inside, source, options)
        try:
            name = b"." if contents_only(source) else name_of(source) or b"."
            _write(spot, name, TreeWriter(out, id_base=inside.id_base))
        finally:
            spot.close()


def from_stream(place: Place, stream: Source, target: str) -> None:
    """A tar stream, compressed or not, into a directory; the stream says whose the files are."""
    with place as inside:
        spot = locate(inside, target, follow=True)
        try:
            if not spot.is_directory:
                raise _no_directory(inside, target, spot)
            directory = spot.open(_DIRECTORY)
            try:
                inside.check_writable(directory, target)
                owners = Owners(id_base=inside.id_base)
                with file_owner(inside.id_base, inside.id_base):
                    extract(compression.reader(stream), directory, owners=owners, replace=False)
            finally:
                os.close(directory)
        finally:
            spot.close()


def copy(source_side: Side, source: str, target_side: Side, target: str, options: Options) -> int:
    """One file or tree, by Docker's rules for what exists and what does not.

    Raises NotFound, Conflict, Unsafe or OSError.
    """
    spot = _source(source_side, source, options)
    try:
        goal = locate(target_side, target, follow=True)
        try:
            directory, name = _destination(spot, source, goal, target_side, target)
        finally:
            goal.close()
        try:
            target_side.check_writable(directory, target)
            return _transfer(spot, name, directory, source_side, target_side, options)
        finally:
            os.close(directory)
    finally:
        spot.close()


def ending(path: str) -> str:
    """What abspath takes away and the rules need."""
    if contents_only(path):
        return "/."
    return "/" if path.endswith("/") else ""


@contextmanager
def container_side(store: Store, container: Container) -> Iterator[Side]:
    """A container's files, its mounts on them."""
    with opened(store, container, mounts=True) as root:
        yield Side(root, container.name, container.id_base or 0, container.config.security.read_only)


@contextmanager
def volume_side(store: Store, name: str) -> Iterator[Side]:
    """A volume's files, whether a container uses them or not.  Raises NotFound."""
    from lxcwrap.actions import volume_sources

    with volume_sources.opened(store, volumes.get(store, name)) as path:
        root = beneath.open_root(path)
        try:
            yield Side(root, name, kind="volume")
        finally:
            os.close(root)


@contextmanager
def host_side() -> Iterator[Side]:
    """This machine's files."""
    root = beneath.open_root("/")
    try:
        yield Side(root)
    finally:
        os.close(root)


def _source(side: Side, path: str, options: Options) -> Spot:
    spot = locate(side, path, follow=options.follow or contents_only(path))
    if spot.status is None:
        spot.close()
        if side.name:
            raise NotFound(f"could not find the file {path} in {side.kind} {side.name}")
        raise NotFound(f"{path}: no such file or directory")
    return spot


def _destination(spot: Spot, source: str, goal: Spot, side: Side, target: str) -> tuple[int, bytes]:
    """An open directory, and the name that the copy gets in it ('' for the contents of a directory alone)."""
    if goal.is_directory:
        name = b"" if spot.is_directory and contents_only(source) else name_of(source)
        return goal.open(_DIRECTORY), name
    if goal.status is None and target.endswith("/") and not spot.is_directory:
        raise _no_directory(side, target, goal)
    if goal.status is not None and spot.is_directory:
        raise Conflict(f"cannot copy a directory to the file {side.shown(target)}")
    return os.dup(goal.parent), goal.base


def _no_directory(side: Side, path: str, spot: Spot) -> Exception:
    if spot.status is None:
        return NotFound(f"{side.shown(path)}: no such directory")
    return Conflict(f"{side.shown(path)}: not a directory")


def _transfer(spot: Spot, name: bytes, directory: int, source: Side, target: Side, options: Options) -> int:
    counted: list[CountingWriter] = []

    def produce(out: Sink) -> None:
        counted.append(CountingWriter(out))
        _write(spot, name, TreeWriter(counted[0], id_base=source.id_base))

    fixed = None
    if not options.archive:
        fixed = (0, 0) if target.name else (os.geteuid(), os.getegid())
    owners = Owners(id_base=target.id_base, fixed=fixed)

    def consume(stream: Source) -> int:
        if not target.name:
            return extract(stream, directory, owners=owners, replace=False)
        with file_owner(target.id_base, target.id_base):
            return extract(stream, directory, owners=owners, replace=False)

    transfer(produce, consume)
    return counted[0].size


def _write(spot: Spot, name: bytes, writer: TreeWriter) -> None:
    """The tar of one file or tree under another name; '' leaves the directory itself out."""
    assert spot.status is not None
    if spot.is_directory:
        directory = spot.open(_DIRECTORY)
        try:
            if name:
                writer.directory(directory, name)
            writer.tree(directory, name + b"/" if name else b"")
        finally:
            os.close(directory)
    elif stat.S_ISREG(spot.status.st_mode):
        descriptor = spot.open(_FILE)
        try:
            writer.file(descriptor, name)
        finally:
            os.close(descriptor)
    else:
        writer.entry(spot.parent, spot.base, name)
    writer.end()
