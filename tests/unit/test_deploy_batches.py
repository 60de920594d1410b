"""Changes in batches, and how many may fail."""

from __future__ import annotations

import pytest

from lxcwrap.deploy.application import OnFailure, Update
from lxcwrap.deploy.batches import Progress, Verdict, batches
from lxcwrap.deploy.plan import Action, Change


def _changes(actions: str) -> list[Change]:
    kinds = {"c": Action.CREATE, "r": Action.REPLACE, "m": Action.MOVE, "s": Action.START}
    return [Change(kinds[action], "web", slot, "host1") for slot, action in enumerate(actions, 1)]


@pytest.mark.parametrize(
    ("actions", "parallelism", "slots"),
    [
        ("", 1, []),
        ("rrr", 1, [[1], [2], [3]]),
        ("rrrrr", 2, [[1, 2], [3, 4], [5]]),
        ("rrr", 0, [[1, 2, 3]]),
        ("rrr", 9, [[1, 2, 3]]),
        ("ccc", 1, [[1, 2, 3]]),
        ("rcmsr", 2, [[2, 4], [1, 3], [5]]),
        ("cs", 0, [[1, 2]]),
    ],
)
def test_batches(actions: str, parallelism: int, slots: list[list[int]]) -> None:
    assert [[change.slot for change in batch] for batch in batches(_changes(actions), parallelism)] == slots


@pytest.mark.parametrize(
    ("action", "ratio", "failed", "verdict"),
    [
        (OnFailure.PAUSE, 0, 0, Verdict.GO_ON),
        (OnFailure.PAUSE, 0, 1, Verdict.PAUSE),
        (OnFailure.ROLLBACK, 0, 1, Verdict.ROLL_BACK),
        (OnFailure.CONTINUE, 0, 10, Verdict.GO_ON),
        (OnFailure.PAUSE, 0.2, 2, Verdict.GO_ON),
        (OnFailure.PAUSE, 0.2, 3, Verdict.PAUSE),
        (OnFailure.ROLLBACK, 0.3, 3, Verdict.GO_ON),
    ],
)
def test_how_many_may_fail(action: OnFailure, ratio: float, failed: int, verdict: Verdict) -> None:
    progress = Progress(Update(failure_action=action, max_failure_ratio=ratio), 10)
    assert progress.after(3, failed).verdict is verdict


def test_the_delay_is_between_batches() -> None:
    progress = Progress(Update(delay=5), 3).after(1, 0)
    assert progress.delay == 5 and not progress.is_over
    assert progress.after(1, 1).delay == 0 and progress.after(1, 1).is_over
