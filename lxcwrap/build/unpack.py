"""ADD of a local archive: recognised by its content, extracted into the target."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from lxcwrap.archive import compression
from lxcwrap.archive.compression import Source
from lxcwrap.build.tree import Tree
from lxcwrap.errors import Corrupt, Unsafe

_BLOCK = 512
_CHECKSUM = slice(148, 156)


def is_archive(tree: Tree, path: str) -> bool:
    """Whether a regular file is a tar archive, plain or compressed by gzip, bzip2, xz or zstd."""
    if not stat.S_ISREG(tree.status(path).st_mode):
        return False
    with _opened(tree, path) as stream:
        return is_tar_stream(stream)


def is_tar_stream(stream: Source) -> bool:
    """Whether a stream, decompressed, begins with a tar header."""
    try:
        plain = compression.reader(stream)
        first = b""
        while len(first) < _BLOCK and (more := plain.read(_BLOCK)):
            first += more
    except (Corrupt, Unsafe):
        return False
    return is_tar_header(first[:_BLOCK])


def is_tar_header(block: bytes) -> bool:
    """By the header's checksum (POSIX.1-2017 pax(1), "ustar Interchange Format")."""
    if len(block) < _BLOCK:
        return False
    try:
        wanted = int(block[_CHECKSUM].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return wanted == sum(block[: _CHECKSUM.start]) + 8 * 32 + sum(block[_CHECKSUM.stop :])


def unpack(tree: Tree, path: str, directory: int, owner: tuple[int, int] | None) -> None:
    """Extract into an open directory.  Raises Corrupt, Unsafe or OSError."""
    from lxcwrap.archive.extract import Owners, extract

    with _opened(tree, path) as stream:
        extract(compression.reader(stream), directory, owners=Owners(fixed=owner))


def _opened(tree: Tree, path: str) -> BinaryIO:
    return open(tree.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
