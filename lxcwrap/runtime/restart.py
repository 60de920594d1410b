"""When a container that ended is started again, and after how long.  Pure; loaded into supervisors.

The delays are Docker's: 100 ms, doubling up to a minute, from the start again after 10 s of running.
"""

from __future__ import annotations

from typing import Any

FIRST_DELAY = 0.1  # seconds
LAST_DELAY = 60.0
LONG_ENOUGH = 10.0


class Counter:
    """The restart policy of one container: ``{"kind": …, "limit": …}``."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self.kind: str = policy["kind"]
        self.limit: int = policy["limit"]
        self.count = 0
        self.forced = False  # once more at once, whatever the policy says: the container is unhealthy
        self._delay = FIRST_DELAY
        self._began = 0.0

    def started(self, now: float) -> None:
        self._began, self.forced = now, False

    def again(self, exit_code: int, stopped: bool, now: float) -> float | None:
        """Seconds to wait before the next start; None when it stays down."""
        if stopped or not (self.forced or self._wanted(exit_code)):
            return None
        if now - self._began >= LONG_ENOUGH:
            return FIRST_DELAY
        return self._delay

    def restarting(self, delay: float) -> None:
        """It is started again after ``delay``: the next time takes twice as long."""
        self.count += 1
        self._delay = min(delay * 2, LAST_DELAY)

    def _wanted(self, exit_code: int) -> bool:
        if self.kind in ("always", "unless-stopped"):
            return True
        return self.kind == "on-failure" and exit_code != 0 and (not self.limit or self.count < self.limit)
