"""Content by digest: ``blobs/sha256/<hex>``.

``write`` is idempotent: a blob that is there already is not written again, and a blob that is there is
complete, since it gets its name only after its digest was checked and its bytes were synced.
"""

from __future__ import annotations

import os

from lxcwrap.errors import Corrupt, NotFound
from lxcwrap.kernel import files
from lxcwrap.model import digest as digests
from lxcwrap.model.paths import Paths


def write(paths: Paths, content: bytes) -> str:
    """Store small content (manifests, configs); returns its digest."""
    name = digests.of(content)
    if not os.path.exists(paths.blob(name)):
        files.write_atomically(paths.blob(name), content)
    return name


def read(paths: Paths, name: str) -> bytes:
    """Small content, checked against its digest.  Raises NotFound or Corrupt."""
    try:
        with open(paths.blob(name), "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        raise NotFound(f"no blob {name} in {paths.root}") from None
    if digests.of(content) != name:
        raise Corrupt(f"blob {paths.blob(name)} does not match its digest")
    return content


def exists(paths: Paths, name: str) -> bool:
    return os.path.exists(paths.blob(name))


def adopt(paths: Paths, staged: str, name: str) -> None:
    """Give a staged file its place.  The caller has checked that its digest is ``name``."""
    descriptor = os.open(staged, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(staged, paths.blob(name))
    files.sync_directory(os.path.dirname(paths.blob(name)))


def remove(paths: Paths, name: str) -> None:
    try:
        os.unlink(paths.blob(name))
    except FileNotFoundError:
        pass
