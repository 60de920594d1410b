"""A container's log as journald has it, read by way of journalctl(1), in the form of ``runtime.logfile``."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from lxcwrap.errors import LxcwrapError, Unsupported
from lxcwrap.runtime.logfile import timestamp
from lxcwrap.runtime.state import State

_PAUSE = 250  # milliseconds between two looks at the container
_GRACE = 2.0  # seconds that journald may take for the last lines
_FIELDS = (
    "MESSAGE", "PRIORITY", "SYSLOG_TIMESTAMP", "CONTAINER_PARTIAL_MESSAGE", "CONTAINER_LOG_EPOCH",
    "CONTAINER_LOG_ORDINAL",
)  # fmt: skip


class Journal:
    """The records of one container; ``state`` tells how it is now."""

    def __init__(self, container_id: str, state: Callable[[], State], since: float, until: float) -> None:
        self._state = state
        self._argv = [
            "journalctl", "--output=json", "--all", "--no-pager", "--quiet", f"--output-fields={','.join(_FIELDS)}",
            *([f"--since=@{since:.6f}"] if since else []),
            *([f"--until=@{until:.6f}"] if until else []),
            f"CONTAINER_ID_FULL={container_id}",
        ]  # fmt: skip
        self._bounded = bool(until)
        self._cursor = ""
        self._seen = ""  # the last line, as the supervisor counts them

    def kept(self) -> Iterator[bytes]:
        """What there is; all of it, once the container has ended.  Raises Unsupported or LxcwrapError."""
        with self._started() as running:
            assert running.stdout
            for line in running.stdout:
                yield self._record(json.loads(line))
            if running.wait():
                raise LxcwrapError(f"journalctl ended with {running.returncode}")
        if not self._state().live and not self._complete():
            yield from self.coming()

    def coming(self) -> Iterator[bytes]:
        """What comes after that, until the container has ended and everything is here."""
        if self._bounded:
            return
        with self._started("--follow", "--no-tail") as running:
            try:
                yield from self._followed(running)
            finally:
                running.terminate()

    def _followed(self, running: subprocess.Popen[bytes]) -> Iterator[bytes]:
        assert running.stdout
        descriptor, rest = running.stdout.fileno(), b""
        end = float("inf")
        while time.monotonic() < end:
            if select.select([descriptor], [], [], _PAUSE / 1000)[0]:
                piece = os.read(descriptor, 1 << 18)
                if not piece:
                    return
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield self._record(json.loads(line))
            if not self._state().live:
                if self._complete():
                    return
                end = min(end, time.monotonic() + _GRACE)

    def _started(self, *more: str) -> subprocess.Popen[bytes]:
        after = [f"--after-cursor={self._cursor}"] if self._cursor else []
        try:
            return subprocess.Popen([*self._argv, *more, *after], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except FileNotFoundError:
            raise Unsupported("the container logs to journald, and journalctl is not on this host") from None

    def _complete(self) -> bool:
        end = self._state().log_end
        return not end or end == self._seen or end.endswith(":0")

    def _record(self, entry: dict[str, Any]) -> bytes:
        self._cursor = entry["__CURSOR"]
        self._seen = f"{entry.get('CONTAINER_LOG_EPOCH')}:{entry.get('CONTAINER_LOG_ORDINAL')}"
        stamp = entry.get("SYSLOG_TIMESTAMP") or timestamp(int(entry["__REALTIME_TIMESTAMP"]) * 1000)
        stream = "stderr" if entry.get("PRIORITY") == "3" else "stdout"
        kind = "P" if entry.get("CONTAINER_PARTIAL_MESSAGE") == "true" else "F"
        return f"{stamp} {stream} {kind} ".encode() + _bytes(entry.get("MESSAGE"))


def _bytes(value: Any) -> bytes:
    """Text, or what is none as a list of numbers."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return bytes(value) if isinstance(value, list) and all(isinstance(item, int) for item in value) else b""
