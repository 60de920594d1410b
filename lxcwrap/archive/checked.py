"""Streams that know their digest and size, so that no consumer can forget to check them."""

from __future__ import annotations

from typing import Any

from lxcwrap.archive.compression import Sink, Source
from lxcwrap.errors import Corrupt


class HashingReader:
    """Counts and hashes (SHA-256) what is read through it."""

    def __init__(self, stream: Source) -> None:
        self._stream = stream
        self._hash = _sha256()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        content = self._stream.read(size)
        self._hash.update(content)
        self.size += len(content)
        return content

    @property
    def digest(self) -> str:
        """Of what was read so far."""
        return f"sha256:{self._hash.hexdigest()}"


class CheckedReader(HashingReader):
    """Raises Corrupt as soon as more than ``size`` bytes come, and at the end when size or digest differ."""

    def __init__(self, stream: Source, digest: str, size: int, what: str = "blob") -> None:
        super().__init__(stream)
        self._expected = digest
        self._limit = size
        self._what = what

    def read(self, size: int = -1, /) -> bytes:
        content = super().read(size)
        if self.size > self._limit:
            raise Corrupt(f"{self._what} {self._expected} is longer than its {self._limit} bytes")
        if not content and size != 0:
            self._check_end()
        return content

    def _check_end(self) -> None:
        if self.size < self._limit:
            raise Corrupt(f"{self._what} {self._expected} ended after {self.size} of {self._limit} bytes")
        if self.digest != self._expected:
            raise Corrupt(f"{self._what} {self._expected} has digest {self.digest}")


class HashingWriter:
    """Counts and hashes (SHA-256) what is written through it; without ``out`` that is all it does."""

    def __init__(self, out: Sink | None = None) -> None:
        self._out = out
        self._hash = _sha256()
        self.size = 0

    def write(self, content: Any, /) -> int:
        self._hash.update(content)
        self.size += len(content)
        if self._out is not None:
            self._out.write(content)
        return len(content)

    @property
    def digest(self) -> str:
        """Of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"


def _sha256() -> Any:
    import hashlib  # OpenSSL comes with it, and this module with many commands that hash nothing

    return hashlib.sha256()
