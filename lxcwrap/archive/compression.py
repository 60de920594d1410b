"""Compressed streams: recognised by their first bytes; gzip is written the same way every time.

Source: RFC 1952 (gzip), RFC 8878 (zstd).  Uses isal where it is installed: four times faster than zlib.
"""

from __future__ import annotations

import zlib
from typing import Any, BinaryIO, Protocol

from lxcwrap.errors import Corrupt, Unsafe, Unsupported

fast: Any
try:
    from isal import isal_zlib as fast
except ImportError:
    fast = zlib

CHUNK = 64 * 1024
PIECE = 1024 * 1024  # bytes of output at a time, so that a bomb does not fill the memory
ZSTD_STEP = 4 * 1024
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
RATIO = 1100  # gzip itself cannot exceed 1032
RATIO_FREE = 1 << 30  # bytes of output before the ratio is looked at
_FAMILIAR = ((b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"))


class Source(Protocol):
    """What is read here: ``read`` may return fewer bytes than asked for, and b'' only at the end."""

    def read(self, size: int = -1, /) -> bytes: ...


class Sink(Protocol):
    """What is written here: ``write`` takes all of it."""

    def write(self, content: Any, /) -> object: ...


def reader(stream: Source) -> Source:
    """The uncompressed bytes of a gzip, zstd, bzip2, xz or plain stream.

    Raises Corrupt while reading when the stream is broken or ends early, Unsafe for a decompression bomb.
    """
    first = stream.read(CHUNK)
    while first and len(first) < 6 and (more := stream.read(CHUNK)):
        first += more
    if first.startswith(GZIP_MAGIC):
        return Decompressor(stream, first, _gzip, "gzip")
    if first.startswith(ZSTD_MAGIC):
        return Decompressor(stream, first, _zstd, "zstd")
    for magic, name in _FAMILIAR:
        if first.startswith(magic):
            return Decompressor(stream, first, _bzip2 if name == "bzip2" else _xz, name)
    return Prefixed(first, stream)


def is_compressed(first: bytes) -> bool:
    """Whether a stream that begins with ``first`` is compressed."""
    return first.startswith((GZIP_MAGIC, ZSTD_MAGIC, *(magic for magic, _ in _FAMILIAR)))


def _gzip() -> Any:
    return fast.decompressobj(wbits=31)


def _zstd() -> Any:
    try:
        import zstandard
    except ImportError:
        raise Unsupported("this stream is compressed with zstd", hint="install python3-zstandard") from None
    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()


def _bzip2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor(memlimit=1 << 30)


class Prefixed:
    """A stream whose first bytes have been read already."""

    def __init__(self, first: bytes, stream: Source) -> None:
        self._first = first
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if not self._first:
            return self._stream.read(size)
        if size < 0:
            whole, self._first = self._first + self._stream.read(size), b""
            return whole
        taken, self._first = self._first[:size], self._first[size:]
        return taken


class Decompressor:
    """Reads through a decompressor object; concatenated members (RFC 1952, 2.2) are one stream."""

    def __init__(self, stream: Source, first: bytes, make: Any, name: str) -> None:
        self._stream = stream
        self._input = first
        self._make = make
        self._object = make()
        self._name = name
        self._errors = _errors(name)
        self._read = len(first)
        self._written = 0

    def read(self, size: int = -1, /) -> bytes:
        """Some bytes, not more than PIECE however well they compress; b'' at the end."""
        while self._has_input() or self._refill():
            output = self._step()
            if output:
                self._written += len(output)
                if self._written > RATIO_FREE and self._written > RATIO * self._read:
                    raise Unsafe(f"the {self._name} stream unpacks to more than {RATIO} times its size")
                return output
        return b""

    def _has_input(self) -> bool:
        return bool(self._input) or (getattr(self._object, "needs_input", True) is False and not self._object.eof)

    def _step(self) -> bytes:
        if self._object.eof:
            self._next_member()
            if not self._input:
                return b""
        try:
            if self._name == "gzip":
                output: bytes = self._object.decompress(self._input, PIECE)
                self._input = self._object.unconsumed_tail
            elif self._name == "zstd":  # has no limit on its output: little goes in at a time
                output = self._object.decompress(self._input[:ZSTD_STEP])
                self._input = self._input[ZSTD_STEP:]
            else:
                given, self._input = self._input, b""
                output = self._object.decompress(given, PIECE)
        except self._errors as error:
            raise Corrupt(f"broken {self._name} stream: {error}") from None
        if self._object.eof:
            self._input = self._object.unused_data + self._input
        return output

    def _next_member(self) -> None:
        self._input = self._input.lstrip(b"\0")  # padding after a member is allowed
        if self._input:
            self._object = self._make()

    def _refill(self) -> bool:
        self._input = self._stream.read(CHUNK)
        self._read += len(self._input)
        if not self._input and not self._object.eof:
            raise Corrupt(f"the {self._name} stream ends early")
        return bool(self._input)


def _errors(name: str) -> tuple[type[Exception], ...]:
    """What the decompressor of that name raises for broken input."""
    if name == "zstd":
        import zstandard

        return (zstandard.ZstdError,)
    if name == "xz":
        import lzma

        return (lzma.LZMAError, EOFError)
    return (fast.error, zlib.error, OSError, EOFError, ValueError)


class GzipWriter:
    """Deterministic gzip: no name, no time.  ``close`` writes the end; ``out`` stays open."""

    def __init__(self, out: Sink, level: int | None = None) -> None:
        self._out = out
        self._object = fast.compressobj(1 if level is None else level, zlib.DEFLATED, -15, 9 if fast is zlib else 8)
        self._crc = 0
        self._size = 0
        out.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")

    def write(self, content: Any, /) -> int:
        self._crc = fast.crc32(content, self._crc)
        self._size += len(content)
        compressed = self._object.compress(content)
        if compressed:
            self._out.write(compressed)
        return len(content)

    def close(self) -> None:
        trailer = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        self._out.write(self._object.flush() + trailer)


def gzip_writer(out: Sink | BinaryIO) -> GzipWriter:
    """Compresses what is written to it into ``out``; the same bytes each time, with one version of isal or zlib."""
    return GzipWriter(out)
