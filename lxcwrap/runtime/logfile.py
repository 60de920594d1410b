"""The log of a container: one line per line of output, rotated by size.

``2026-05-04T03:02:01.123456789Z stdout F text``: the time, the stream, F for a whole line or P for a part of one
(no newline yet), the text.  It is the form that Kubernetes' container runtimes write.  Loaded into supervisors.
"""

from __future__ import annotations

import os
import time

LINE_LIMIT = 16 * 1024  # bytes of one line; longer ones are written in parts
NAME = "output.log"
PACKED = ".gz"


def timestamp(now: int) -> str:
    """RFC 3339 with nanoseconds, UTC, of ``now`` nanoseconds since the epoch."""
    seconds, rest = divmod(now, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


class LogFile:
    """The writing end.  Partial lines are written as soon as they come, so that followers see prompts."""

    def __init__(self, directory: str, max_size: int, max_file: int, *, compress: bool = True) -> None:
        self._path = f"{directory}/{NAME}"
        self._max_size = max_size
        self._max_file = max(max_file, 1)
        self._compress = compress
        self._open()

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._descriptor).st_size

    def write(self, stream: str, content: bytes) -> None:
        """Append output of ``stream`` (stdout or stderr).  A full disk loses log lines, not the container."""
        head = f"{timestamp(time.time_ns())} {stream} "
        record = b"".join(_lines(head.encode(), content))
        if self._max_size > 0 and self._size and self._size + len(record) > self._max_size:
            self._rotate()
        try:
            self._size += os.write(self._descriptor, record)
        except OSError:
            pass

    def flush(self) -> None:
        """Nothing is held back."""

    @property
    def end(self) -> str:
        """What readers have to wait for: nothing, the file has it all."""
        return ""

    def _rotate(self) -> None:
        os.close(self._descriptor)
        try:
            for number in range(self._max_file - 1, 0, -1):
                self._move(self._path if number == 1 else f"{self._path}.{number - 1}", f"{self._path}.{number}")
            if self._max_file == 1:
                os.unlink(self._path)
        finally:
            self._open()
        if self._compress:
            _compress(f"{self._path}.2")  # the first old file stays plain: followers may still read it

    def _move(self, path: str, target: str) -> None:
        for ending in ("", PACKED):
            _unlink(target + ending)
            if os.path.exists(path + ending):
                os.rename(path + ending, target + ending)

    def close(self) -> None:
        os.close(self._descriptor)


def _compress(path: str) -> None:
    """Put ``path``.gz in its place; when that fails the plain file stays."""
    if not os.path.exists(path):
        return
    import zlib  # by those only that write so much

    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # 16: gzip's header
    try:
        with open(path, "rb", buffering=0) as plain, open(f"{path}{PACKED}.new", "wb") as packed:
            while piece := plain.read(1 << 18):
                packed.write(packer.compress(piece))
            packed.write(packer.flush())
        os.rename(f"{path}{PACKED}.new", path + PACKED)
        os.unlink(path)
    except OSError:
        _unlink(f"{path}{PACKED}.new")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _lines(head: bytes, content: bytes) -> list[bytes]:
    records = []
    for line in _split_newlines(content):
        while len(line) > LINE_LIMIT:
            records.append(head + b"P " + line[:LINE_LIMIT] + b"\n")
            line = line[LINE_LIMIT:]
        whole = line.endswith(b"\n")
        records.append(head + (b"F " + line if whole else b"P " + line + b"\n"))
    return records


def _split_newlines(content: bytes) -> list[bytes]:
    """At newlines only: a carriage return is text."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines
