"""Staging directories: on the state's file system, locked by their owner, swept when nobody holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lxcwrap.kernel import beneath, lock
from lxcwrap.model.paths import Paths


@contextmanager
def directory(paths: Paths, verb: str) -> Iterator[str]:
    """A new empty directory ``tmp/<verb>-<random>``; what is still in it at the end is removed."""
    path = f"{paths.staging}/{verb}-{os.urandom(6).hex()}"
    os.makedirs(paths.staging, mode=0o711, exist_ok=True)
    with lock.held(f"{path}.lock"):
        os.mkdir(path, 0o700)
        try:
            yield path
        finally:
            _remove(path)
            os.unlink(f"{path}.lock")


def discard(paths: Paths, path: str) -> None:
    """Remove a directory tree so that a crash half-way leaves only staging: moved first, then deleted.

    Does nothing when it is gone, or goes meanwhile.
    """
    if not os.path.lexists(path):
        return
    with directory(paths, "discard") as place, suppress(FileNotFoundError):
        os.rename(path, f"{place}/{os.path.basename(path)}")


def sweep(paths: Paths) -> None:
    """Remove staging that nobody holds: its owner died."""
    try:
        names = os.listdir(paths.staging)
    except FileNotFoundError:
        return
    for name in names:
        stem = name.removesuffix(".lock")
        path = f"{paths.staging}/{stem}"
        try:
            with lock.held(f"{path}.lock", wait=False):
                _remove(path)
                os.unlink(f"{path}.lock")
        except (lock.Busy, FileNotFoundError):
            continue


def _remove(path: str) -> None:
    """What cannot be removed stays for a later sweep."""
    holder = beneath.open_root(os.path.dirname(path))
    try:
        with suppress(OSError):
            beneath.remove_tree(holder, os.path.basename(path))
    finally:
        os.close(holder)
