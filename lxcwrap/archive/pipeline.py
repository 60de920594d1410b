"""Stages of a stream in threads of their own: decompression and hashing release the interpreter's lock."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lxcwrap.archive.compression import Sink, Source

CHUNK = 512 * 1024
DEPTH = 8  # chunks in flight between two stages
T = TypeVar("T")


class Ahead:
    """Reads ``stream`` ahead in a thread.  An exception there is raised by ``read`` here."""

    def __init__(self, stream: Source, chunk: int = CHUNK) -> None:
        self._stream = stream
        self._chunk = chunk
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(DEPTH)
        self._rest: bytes | BaseException = b""
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopped:
                content = self._stream.read(self._chunk)
                self._queue.put(content)
                if not content:
                    return
        except BaseException as error:  # handed to the reader
            self._queue.put(error)

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes (any number with -1); b'' at the end."""
        content = self._rest or self._queue.get()
        if isinstance(content, BaseException):
            self._rest = content
            raise content
        if not content:
            self._queue.put(b"")  # the end stays the end
        if 0 <= size < len(content):
            content, self._rest = content[:size], content[size:]
        else:
            self._rest = b""
        return content

    def close(self) -> None:
        """Stop the thread; what it still had is dropped."""
        self._stopped = True
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.02)
            except queue.Empty:
                pass
        self._thread.join()


@contextmanager
def ahead(stream: Source, chunk: int = CHUNK) -> Iterator[Ahead]:
    """``Ahead`` that is stopped at the end."""
    reader = Ahead(stream, chunk)
    try:
        yield reader
    finally:
        reader.close()


class Behind:
    """Writes to ``out`` in a thread; small writes are gathered.  ``close`` waits and raises what went wrong there."""

    def __init__(self, out: Sink, chunk: int = CHUNK) -> None:
        self._out = out
        self._chunk = chunk
        self._gathered: list[bytes] = []
        self._size = 0
        self._error: BaseException | None = None
        self._queue: queue.Queue[list[bytes] | None] = queue.Queue(DEPTH)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (pieces := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._out.write(b"".join(pieces))
                except BaseException as error:  # raised by the writer
                    self._error = error

    def write(self, content: Any, /) -> int:
        self._gathered.append(bytes(content))
        self._size += len(content)
        if self._size >= self._chunk:
            self._flush()
        return len(content)

    def _flush(self) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put(self._gathered)
        self._gathered, self._size = [], 0

    def close(self) -> None:
        """Write what is left and end the thread.  Raises what ``out`` raised."""
        self._queue.put(self._gathered)
        self._gathered, self._size = [], 0
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error


@contextmanager
def behind(out: Sink, chunk: int = CHUNK) -> Iterator[Behind]:
    """``Behind`` that is closed at the end."""
    writer = Behind(out, chunk)
    try:
        yield writer
    except BaseException:
        try:
            writer.close()
        except BaseException:  # the first error is the one to show
            pass
        raise
    writer.close()


class _Stopped(Exception):
    """The reading side has gone."""


class Channel:
    """What one thread writes another reads.  An error of the writing side is raised where it is read."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(DEPTH)
        self._rest: bytes | BaseException = b""
        self._stopped = False

    def fill(self, produce: Callable[[Sink], None]) -> None:
        """The writing side's whole life: run in a thread of its own."""
        try:
            with behind(self) as out:
                produce(out)
            self._queue.put(b"")
        except _Stopped:
            pass
        except BaseException as error:  # raised by read
            self._queue.put(error)

    def write(self, content: Any, /) -> int:
        if self._stopped:
            raise _Stopped
        if content:
            self._queue.put(bytes(content))
        return len(content)

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes (any number with -1); b'' at the end."""
        content = self._rest or self._queue.get()
        if isinstance(content, BaseException):
            self._rest = content
            raise content
        if not content:
            self._queue.put(b"")  # the end stays the end
        if 0 <= size < len(content):
            content, self._rest = content[:size], content[size:]
        else:
            self._rest = b""
        return content

    def stop(self, thread: threading.Thread) -> None:
        """Have the writing side, which runs in ``thread``, come to its end; what it still had is dropped."""
        self._stopped = True
        while thread.is_alive():
            try:
                self._queue.get(timeout=0.02)
            except queue.Empty:
                pass
        thread.join()


def transfer(produce: Callable[[Sink], None], consume: Callable[[Source], T]) -> T:
    """Run ``produce`` in a thread and give what it writes to ``consume``; returns what that returns."""
    channel = Channel()
    thread = threading.Thread(target=channel.fill, args=(produce,), daemon=True)
    thread.start()
    try:
        return consume(channel)
    finally:
        channel.stop(thread)
