"""What results of a health check lead to, and what the flags say."""

from __future__ import annotations

import pytest

from lxcwrap.actions.create import merge
from lxcwrap.errors import UsageError
from lxcwrap.model.container import ContainerConfig
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.image import RunConfig
from lxcwrap.runtime.health import Verdict
from lxcwrap.runtime.restart import Counter


def test_verdict_counts_failures_in_a_row() -> None:
    verdict = Verdict(retries=2, start_period=0)
    assert [verdict.take(code, 1) for code in (1, 0, 1, 1, 1, 0)] == [False, True, False, True, False, True]
    assert (verdict.status, verdict.streak) == ("healthy", 0)


def test_start_period_forgives_until_the_first_success() -> None:
    verdict = Verdict(retries=1, start_period=10)
    assert not verdict.take(1, 5) and verdict.status == "starting"
    assert verdict.take(0, 6) and verdict.take(1, 7) and verdict.status == "unhealthy"


def test_merge_takes_what_is_not_given_from_the_image() -> None:
    image = RunConfig(command=("x",), health=HealthCheck(("CMD", "true"), interval=5, retries=2))
    given = ContainerConfig("i", health=HealthCheck(retries=7))
    assert merge(image, given).health == HealthCheck(("CMD", "true"), interval=5, retries=7)
    none = HealthCheck(test=("NONE",))
    assert merge(image, ContainerConfig("i", health=none)).health == none
    with pytest.raises(UsageError, match="without a health check"):
        merge(RunConfig(command=("x",)), given)


def test_restart_delays_double_and_begin_anew_after_a_long_run() -> None:
    counter = Counter({"kind": "always", "limit": 0})
    delays = []
    for ran in (1, 1, 1, 20, 1, *[1] * 12):
        counter.started(0)
        delay = counter.again(1, False, ran)
        assert delay is not None and counter.again(1, False, ran) == delay
        counter.restarting(delay)
        delays.append(delay)
    assert delays[:6] == pytest.approx([0.1, 0.2, 0.4, 0.1, 0.2, 0.4]) and delays[-1] == 60
    assert counter.again(0, True, 1) is None
