"""``logs``: what the supervisor wrote down of a container's output."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from lxcwrap.errors import Unsupported, UsageError
from lxcwrap.model import selection
from lxcwrap.runtime import state
from lxcwrap.runtime.logfile import NAME, PACKED
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.images import parse_time

_PAUSE = 0.05  # seconds between two looks at a log that is followed


@dataclass(frozen=True)
class Wanted:
    """Which records: the last ``tail`` lines (-1: all), between two times (seconds since the epoch, 0: no limit)."""

    tail: int = -1
    since: float = 0.0
    until: float = 0.0

    @classmethod
    def parse(cls, tail: str, since: str, until: str) -> Wanted:
        """Raises UsageError."""
        if tail != "all" and not re.fullmatch(r"-?\d+", tail):
            raise UsageError(f"--tail {tail!r:.40} is not a number", exit_code=1)
        count = -1 if tail == "all" or int(tail) < 0 else int(tail)
        return cls(count, moment(since, "--since"), moment(until, "--until"))


@dataclass(frozen=True)
class Form:
    """What stands before each line: its time, and the log's attributes (none, so a blank, as Docker prints it)."""

    timestamps: bool = False
    details: bool = False


def moment(text: str, flag: str) -> float:
    """Seconds since the epoch of an RFC 3339 time, a date, a Unix time or a duration before now.  Raises UsageError."""
    if not text:
        return 0.0
    try:
        return selection.moment(text, time.time())
    except UsageError as error:
        raise UsageError(f"{flag}: {error.message}", hint=error.hint, exit_code=1) from None


def show(store: Store, container: Container, wanted: Wanted, form: Form, *, follow: bool) -> None:
    """Write the records to stdout and stderr, as the container did.  Raises Unsupported when none are kept."""
    if container.config.log.driver == "none":
        raise Unsupported(f"container {container.name} keeps no log", hint="it was made with --log-driver none")
    if container.config.log.driver == "journald":
        _show_journal(store, container, wanted, form, follow)
        return
    path = f"{store.paths.container(container.id)}/{NAME}"
    first = _Reader(path)
    records = (record for record in _all(path, first) if _within(record, wanted))
    for record in records if wanted.tail < 0 else _last(records, wanted.tail):
        _write(record, form)
    while follow:
        live = state.read(store.paths, container.id).live
        for record in first.read():
            if wanted.until and _time(record) > wanted.until:
                return
            _write(record, form)
        if not live or (wanted.until and time.time() > wanted.until):
            return
        time.sleep(_PAUSE)


def last_lines(store: Store, container: Container, count: int) -> list[str]:
    """What it said last, on both streams; nothing where no log is kept."""
    if container.config.log.driver == "none":
        return []
    if container.config.log.driver == "journald":
        from lxcwrap.actions.journal_logs import Journal

        records = Journal(container.id, lambda: state.read(store.paths, container.id), 0.0, 0.0).kept()
    else:
        path = f"{store.paths.container(container.id)}/{NAME}"
        records = _all(path, _Reader(path))
    text = b"".join(_line(record, Form()) for record in _last(records, count))
    return text.decode(errors="replace").splitlines()


def _show_journal(store: Store, container: Container, wanted: Wanted, form: Form, follow: bool) -> None:
    from lxcwrap.actions.journal_logs import Journal

    journal = Journal(container.id, lambda: state.read(store.paths, container.id), wanted.since, wanted.until)
    kept = journal.kept()
    for record in kept if wanted.tail < 0 else _last(kept, wanted.tail):
        _write(record, form)
    for record in journal.coming() if follow else ():
        _write(record, form)


class _Reader:
    """The newest log file from its beginning, and what is added to it, through rotations."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rest = b""
        self._stream = _open(path)

    def read(self) -> Iterator[bytes]:
        """Complete records."""
        yield from self._read_on()
        try:
            rotated = self._stream is None or os.stat(self._path).st_ino != os.fstat(self._stream).st_ino
        except FileNotFoundError:
            return
        if rotated:
            yield from self._read_on()  # what came before it was rotated
            if self._stream is not None:
                os.close(self._stream)
            self._stream = _open(self._path)
            yield from self._read_on()

    def _read_on(self) -> Iterator[bytes]:
        while self._stream is not None and (piece := os.read(self._stream, 1 << 18)):
            lines = (self._rest + piece).split(b"\n")
            self._rest = lines.pop()
            yield from lines


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _all(path: str, newest: _Reader) -> Iterator[bytes]:
    number = 1
    while os.path.exists(f"{path}.{number}") or os.path.exists(f"{path}.{number}{PACKED}"):
        number += 1
    for older in range(number - 1, 0, -1):
        if os.path.exists(f"{path}.{older}{PACKED}"):
            yield from _unpacked(f"{path}.{older}{PACKED}")
        else:
            yield from _Reader(f"{path}.{older}")._read_on()
    yield from newest.read()


def _unpacked(path: str) -> Iterator[bytes]:
    import gzip

    try:
        with gzip.open(path, "rb") as stream:
            yield from (line.rstrip(b"\n") for line in stream)
    except FileNotFoundError:  # rotated away meanwhile
        return


def _last(records: Iterator[bytes], count: int) -> deque[bytes]:
    """The records of the last ``count`` lines; parts of a line belong together."""
    kept: deque[bytes] = deque()
    lines = 0
    ended = True
    for record in records:
        lines += ended
        ended = _is_whole(record)
        kept.append(record)
        while lines > count and kept:
            lines -= _is_whole(kept.popleft())
    return kept


def _is_whole(record: bytes) -> bool:
    return record.split(b" ", 3)[2:3] == [b"F"]


def _time(record: bytes) -> float:
    return parse_time(record.split(b" ", 1)[0].decode(errors="replace"))


def _within(record: bytes, wanted: Wanted) -> bool:
    if not wanted.since and not wanted.until:
        return True
    at = _time(record)
    return at >= wanted.since and (not wanted.until or at <= wanted.until)


def _write(record: bytes, form: Form) -> None:
    line = _line(record, form)
    descriptor = 2 if record.split(b" ", 2)[1:2] == [b"stderr"] else 1
    while line:
        line = line[os.write(descriptor, line) :]


def _line(record: bytes, form: Form) -> bytes:
    fields = record.split(b" ", 3)
    if len(fields) < 4:
        return b""
    stamp, _, kind, text = fields
    return (
        (stamp + b" " if form.timestamps else b"")
        + (b" " if form.details else b"")
        + text
        + (b"\n" if kind == b"F" else b"")
    )
