"""Output of several hosts at once, line by line."""

from __future__ import annotations

import threading

from lxcwrap.runtime.attach import write_all


class Labelled:
    """Whole lines, each with its host's name before it."""

    _lock = threading.Lock()

    def __init__(self, label: str) -> None:
        self._label = label.encode()
        self._kept = {1: b"", 2: b""}

    def out(self, content: bytes) -> None:
        self._take(1, content)

    def err(self, content: bytes) -> None:
        self._take(2, content)

    def _take(self, descriptor: int, content: bytes) -> None:
        *lines, self._kept[descriptor] = (self._kept[descriptor] + content).split(b"\n")
        self._print(descriptor, lines)

    def end(self) -> None:
        for descriptor, rest in self._kept.items():
            if rest:
                self._print(descriptor, [rest])

    def _print(self, descriptor: int, lines: list[bytes]) -> None:
        with self._lock:
            write_all(descriptor, b"".join(b"%s | %s\n" % (self._label, line) for line in lines))
