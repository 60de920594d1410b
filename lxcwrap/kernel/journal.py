"""A file of JSON lines that many processes append to and read, bounded by rotation.  Loaded into supervisors.

Appending is one write with O_APPEND, so that lines of several processes do not mix.  When the file has grown past
``LIMIT`` it becomes ``<path>.1``, the one before that goes: between one and two times the limit is kept.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

LIMIT = 4 << 20  # bytes
_LONGEST = 64 << 10  # bytes of one line: labels can be long
_PIECE = 1 << 18


def record(path: str, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
    """Append an event.  What cannot be written is lost: events are news, not state."""
    entry = {"time": time.time_ns(), "kind": kind, "action": action, "actor": actor, "attributes": dict(attributes)}
    line = json.dumps(entry, separators=(",", ":")).encode()
    if len(line) > _LONGEST:
        line = json.dumps(entry | {"attributes": {"name": attributes.get("name", "")}}).encode()
    try:
        descriptor = _appending(path)
    except OSError:
        return
    try:
        os.write(descriptor, line + b"\n")
        if os.fstat(descriptor).st_size > LIMIT:
            _rotate(path, descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _appending(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:  # the first of all
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        return os.open(path, flags, 0o600)


def _rotate(path: str, descriptor: int) -> None:
    """Whoever comes first moves the file away; who waited finds another in its place."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
        os.rename(path, path + ".1")


class Reader:
    """What the journal holds, and what is added to it, through rotations."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rest = b""
        self._waiting = [one for one in (_open(path + ".1"), _open(path)) if one is not None]

    def read(self) -> Iterator[dict[str, Any]]:
        """The entries that were not read yet, oldest first."""
        while True:
            if not self._waiting:
                fresh = _open(self._path)
                if fresh is None:
                    return
                self._waiting.append(fresh)
            yield from self._read_on(self._waiting[0])
            if len(self._waiting) == 1 and self._is_current(self._waiting[0]):
                return
            yield from self._read_on(self._waiting[0])  # what came before it was moved away
            os.close(self._waiting.pop(0))
            self._rest = b""

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.stat(self._path).st_ino == os.fstat(descriptor).st_ino
        except FileNotFoundError:  # just moved, and nobody wrote since
            return True

    def _read_on(self, descriptor: int) -> Iterator[dict[str, Any]]:
        while piece := os.read(descriptor, _PIECE):
            lines = (self._rest + piece).split(b"\n")
            self._rest = lines.pop()
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:  # cut by a full disk or a crash
                    continue
                if isinstance(entry, dict) and {"time", "kind", "action", "actor", "attributes"} <= entry.keys():
                    yield entry


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
