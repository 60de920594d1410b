"""Downloads that have not become blobs yet: ``blobs/partial/<hex>``, kept when they were cut.

Whoever writes one holds its lock; a pull takes all the locks it needs at once, in order, so that two pulls
of images with common layers wait for each other and never both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from lxcwrap.kernel import lock
from lxcwrap.model.paths import Paths
from lxcwrap.store import blobs


def directory(paths: Paths) -> str:
    return f"{paths.root}/blobs/partial"


def path(paths: Paths, digest: str) -> str:
    return f"{directory(paths)}/{digest.partition(':')[2]}"


@contextmanager
def held(paths: Paths, digests: Iterable[str]) -> Iterator[None]:
    """Alone with these downloads; waits for who has them."""
    os.makedirs(directory(paths), mode=0o700, exist_ok=True)
    with ExitStack() as undo:
        for digest in sorted(set(digests)):
            name = f"{path(paths, digest)}.lock"
            undo.enter_context(lock.held(name))
            undo.callback(os.unlink, name)
        yield


def reuse(paths: Paths, digest: str, key: str = "") -> None:
    """A blob that is here already counts as a whole download; ``key`` as in ``adopt``."""
    if blobs.exists(paths, digest):
        discard(paths, key or digest)
        os.link(paths.blob(digest), path(paths, key or digest))


def adopt(paths: Paths, key: str, digest: str = "") -> None:
    """A whole and checked download becomes a blob: ``digest``, which is its key unless that was not known before."""
    blobs.adopt(paths, path(paths, key), digest or key)
    discard(paths, key)  # renaming one of two names of a file onto the other leaves both


def discard(paths: Paths, digest: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path(paths, digest))


def sweep(paths: Paths, keys: Iterable[str] | None = None) -> int:
    """Remove those of these downloads (None: of all) that nobody is writing; returns the bytes freed."""
    freed = 0
    try:
        names = {name.removesuffix(".lock") for name in os.listdir(directory(paths))}
    except FileNotFoundError:
        return 0
    wanted = names if keys is None else names & {os.path.basename(path(paths, key)) for key in keys}
    for name in wanted:
        try:
            with lock.held(f"{directory(paths)}/{name}.lock", wait=False):
                with suppress(FileNotFoundError):
                    freed += os.path.getsize(f"{directory(paths)}/{name}")
                    os.unlink(f"{directory(paths)}/{name}")
                os.unlink(f"{directory(paths)}/{name}.lock")
        except lock.Busy:
            continue
    return freed
