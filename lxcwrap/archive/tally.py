"""How much went through a stream, where nobody asks for a digest."""

from __future__ import annotations

from typing import Any

from lxcwrap.archive.compression import Sink


class CountingWriter:
    """Counts the bytes written through it."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self.size = 0

    def write(self, content: Any, /) -> int:
        self.size += len(content)
        self._out.write(content)
        return len(content)
