"""A base image's pull as output of the build step that waits for it."""

from __future__ import annotations

import threading
import time

from lxcwrap.build.report import Report
from lxcwrap.model.units import show_bytes

_INTERVAL = 1.0  # seconds between two lines of one layer


class Pulled:
    """An ``actions.progress.Progress`` that writes lines: layers' states, and how far they have got now and then."""

    def __init__(self, report: Report, number: int) -> None:
        self._report = report
        self._number = number
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}  # by item: when its last line was written

    def message(self, text: str) -> None:
        with self._lock:
            self._report.output(self._number, f"{text}\n".encode())

    def state(self, item: str, text: str) -> None:
        self.message(f"{item}: {text}")

    def advance(self, item: str, doing: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told.setdefault(item, now) < _INTERVAL:
            return
        self._told[item] = now
        self.message(f"{item}: {doing} {show_bytes(done)} / {show_bytes(total)}")
