"""Files that go to and come from another host as tar streams: a build's context, and both directions of ``cp``."""

from __future__ import annotations

import os
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

from lxcwrap.actions import copy
from lxcwrap.actions.copy_paths import contents_only, name_of
from lxcwrap.archive.compression import Sink, Source
from lxcwrap.archive.extract import Owners, extract
from lxcwrap.build import context
from lxcwrap.build.context import Context
from lxcwrap.build.tree import Tree
from lxcwrap.errors import NotFound

_IGNORE = ".dockerignore"


@contextmanager
def written_by(produce: Callable[[Sink], None]) -> Iterator[int]:
    """The reading end of a pipe that a thread writes to; what went wrong there is raised at the end."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with open(writing, "wb") as out:
                produce(out)
        except BrokenPipeError:  # the far side wants no more
            pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield reading
    finally:
        os.close(reading)
        thread.join()
        if failures:
            raise failures[0]


def source(path: str, *, follow: bool) -> Callable[[Sink], None]:
    """Writes a local file or tree, under its own name; raises NotFound at once when there is none."""
    full = os.path.abspath(path) + copy.ending(path)
    if not os.path.lexists(path):
        raise NotFound(f"{path}: no such file or directory")

    def produce(out: Sink) -> None:
        copy.to_stream(copy.host_side(), full, out, copy.Options(follow=follow))

    return produce


def place(stream: Source, name: str, target: str, *, archive: bool) -> int:
    """Put what a far ``cp NAME:PATH -`` sends at a local path, by the rules of ``cp``; returns the bytes.

    Nothing outside of ``target`` is written, whatever the stream says.
    """
    parent = os.path.dirname(os.path.abspath(target)) or "/"
    with tempfile.TemporaryDirectory(prefix=".lxcwrap-cp-", dir=parent if os.path.isdir(parent) else None) as folder:
        owners = Owners() if os.geteuid() == 0 else Owners(fixed=(os.geteuid(), os.getegid()))
        extract(stream, folder, owners=owners)
        inside = f"{folder}/." if contents_only(name) else os.path.join(folder, os.fsdecode(name_of(name)))
        full = os.path.abspath(target) + copy.ending(target)
        with copy.host_side() as host, copy.host_side() as here:
            return copy.copy(host, inside, here, full, copy.Options(archive=archive))


@contextmanager
def build_context(folder: str, dockerfile: str, stdin: BinaryIO) -> Iterator[tuple[Callable[[Sink], None], bytes]]:
    """What writes the tar of a build's context, without what .dockerignore leaves out; and its Dockerfile.

    Raises what ``build.context.opened`` does.
    """
    with context.opened(folder, dockerfile, stdin, "") as found:
        yield (lambda out: _write_context(found, out)), found.text.encode()


def _write_context(found: Context, out: Sink) -> None:
    """The far side reads .dockerignore too: where the Dockerfile has an ignore file of its own, that would be wrong."""
    tree = found.tree
    skipped = {"", _IGNORE} if os.path.exists(f"{tree.root}/{found.name}.dockerignore") else {""}
    with tarfile.open(fileobj=cast(IO[bytes], out), mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry in tree.walk(""):
            if entry.path not in skipped:
                _add(archive, tree, entry.path)


def _add(archive: tarfile.TarFile, tree: Tree, path: str) -> None:
    member = archive.gettarinfo(f"{tree.root}/{path}", arcname=path)
    if member is None:  # a socket
        return
    if not member.isreg():
        archive.addfile(member)
        return
    with open(tree.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
        member.size = os.fstat(stream.fileno()).st_size
        archive.addfile(member, stream)
