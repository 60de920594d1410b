"""What a build tells while it works; ``cli`` draws it."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """Called from several threads.  A step is known by the number that ``start`` gave it."""

    def start(self, title: str) -> int:
        """A step begins: ``[2/4] RUN make``."""

    def output(self, number: int, content: bytes) -> None:
        """A running command wrote something."""

    def done(self, number: int, *, cached: bool = False) -> None:
        """The step is over."""

    def failed(self, number: int, message: str) -> None:
        """The step failed; the error itself is raised."""

    def warn(self, message: str) -> None:
        """A line of its own that is no error."""


class Silent:
    """Tells nobody."""

    def start(self, title: str) -> int:
        return 0

    def output(self, number: int, content: bytes) -> None: ...

    def done(self, number: int, *, cached: bool = False) -> None: ...

    def failed(self, number: int, message: str) -> None: ...

    def warn(self, message: str) -> None: ...
