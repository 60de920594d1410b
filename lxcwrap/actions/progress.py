"""What long actions tell while they work; ``cli/progress.py`` draws it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called from several threads."""

    def message(self, text: str) -> None:
        """A line of its own."""

    def state(self, item: str, text: str) -> None:
        """An item (a layer's short digest) has come to a new state: ``Pull complete``."""

    def advance(self, item: str, doing: str, done: int, total: int) -> None:
        """``doing`` (``Downloading``) has got to ``done`` of ``total`` bytes."""


class Silent:
    """Tells nobody."""

    def message(self, text: str) -> None: ...

    def state(self, item: str, text: str) -> None: ...

    def advance(self, item: str, doing: str, done: int, total: int) -> None: ...


SILENT = Silent()
