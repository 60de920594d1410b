"""A file that one thread writes and others read while it grows.

A download is extracted, and a compressed layer uploaded, while it is still coming in; the file stays behind.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator

CHUNK = 1 << 20  # bytes read at a time


class Growing:
    """The file at ``path``, hashed while it is written.  What is in it already is kept and counted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._change = threading.Condition()
        self._hash = hashlib.sha256()
        self._error: BaseException | None = None
        self._finished = False
        self.size = 0  # bytes written and hashed
        self._out = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by finish and fail
        self._in = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close; the file may be renamed meanwhile

    def adopt_existing(self) -> int:
        """Hash what an earlier writer left; returns its size in bytes."""
        while chunk := os.pread(self._in.fileno(), CHUNK, self.size):
            self._hash.update(chunk)
            self._grow(len(chunk))
        return self.size

    def write(self, chunk: bytes | memoryview) -> int:
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._out.write(rest) :]
        self._hash.update(chunk)
        self._grow(len(chunk))
        return len(chunk)

    def _grow(self, count: int) -> None:
        with self._change:
            self.size += count
            self._change.notify_all()

    @property
    def digest(self) -> str:
        """Of all that was written so far."""
        return "sha256:" + self._hash.hexdigest()

    def finish(self) -> None:
        """Nothing more comes."""
        self._end(None)

    def fail(self, error: BaseException) -> None:
        """Nothing more comes, because of ``error``: readers get it raised when they arrive there."""
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self._out.close()
        with self._change:
            if not self._finished:
                self._error = error
                self._finished = True
            self._change.notify_all()

    @property
    def is_whole(self) -> bool:
        """Whether nothing more comes, and nothing went wrong."""
        return self._finished and not self._error

    def wait(self) -> None:
        """Until nothing more comes; raises the writer's error."""
        with self._change:
            self._change.wait_for(lambda: self._finished)
        if self._error:
            raise self._error

    def wait_beyond(self, offset: int) -> bool:
        """Until there is more than ``offset`` bytes; False when there never will be.  Raises the writer's error."""
        with self._change:
            self._change.wait_for(lambda: self.size > offset or self._finished)
        if self.size > offset:
            return True
        if self._error:
            raise self._error
        return False

    def read_at(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``, at least one unless that is the end.  Waits for what is to come."""
        if not self.wait_beyond(offset):
            return b""
        return os.pread(self._in.fileno(), min(size, self.size - offset), offset)

    def chunks(self) -> Iterator[bytes]:
        """The whole content, from the beginning, as it comes."""
        offset = 0
        while chunk := self.read_at(offset, CHUNK):
            yield chunk
            offset += len(chunk)

    def close(self) -> None:
        """No more reading, and no more writing; the file stays."""
        self._out.close()
        self._in.close()


class Follower:
    """A file-like reader of a Growing.  ``advance`` is told how far it has read, in bytes."""

    def __init__(self, source: Growing, advance: Callable[[int], None] = lambda done: None) -> None:
        self._source = source
        self._advance = advance
        self._offset = 0

    def read(self, size: int = -1) -> bytes:
        """At least one byte unless at the end, at most ``size``; all of it when ``size`` is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        chunk = self._source.read_at(self._offset, size) if size else b""
        self._offset += len(chunk)
        self._advance(self._offset)
        return chunk
