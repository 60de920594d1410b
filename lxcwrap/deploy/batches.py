"""How a service's changes are cut into batches, and how many of them may fail."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lxcwrap.deploy.application import OnFailure, Update
from lxcwrap.deploy.plan import Action, Change


class Verdict(enum.Enum):
    """What follows after a batch."""

    GO_ON = "go on"
    PAUSE = "pause"
    ROLL_BACK = "roll back"


def batches(changes: Sequence[Change], parallelism: int) -> Iterator[Sequence[Change]]:
    """What nothing serves yet goes first, all at once: nobody can miss it.  Then ``parallelism`` at a time, 0: all."""
    first = [change for change in changes if change.action in (Action.CREATE, Action.START)]
    rest = [change for change in changes if change.action not in (Action.CREATE, Action.START)]
    if first:
        yield first
    size = parallelism if parallelism > 0 else max(len(rest), 1)
    for start in range(0, len(rest), size):
        yield rest[start : start + size]


@dataclass(frozen=True)
class Progress:
    """An update of one service as it goes: of ``total`` changes, how many have succeeded and failed so far."""

    update: Update
    total: int
    succeeded: int = 0
    failed: int = 0

    def after(self, succeeded: int, failed: int) -> Progress:
        """With a batch's outcome added."""
        return replace(self, succeeded=self.succeeded + succeeded, failed=self.failed + failed)

    @property
    def is_over(self) -> bool:
        return self.succeeded + self.failed >= self.total

    @property
    def verdict(self) -> Verdict:
        """Failures up to ``max_failure_ratio`` of all changes are borne."""
        if self.failed <= self.update.max_failure_ratio * self.total:
            return Verdict.GO_ON
        actions = {OnFailure.PAUSE: Verdict.PAUSE, OnFailure.ROLLBACK: Verdict.ROLL_BACK}
        return actions.get(self.update.failure_action, Verdict.GO_ON)

    @property
    def delay(self) -> float:
        """Seconds until the next batch: none after the last."""
        return 0 if self.is_over else self.update.delay
