"""The live view's pure parts: courses and sparklines."""

from __future__ import annotations

import pytest

from lxcwrap.actions.history import History
from lxcwrap.actions.stats import Sample
from lxcwrap.cli.live import PLAIN, sparkline
from lxcwrap.kernel.cgroup import Usage


def sample(name: str, moment: float, *, cpu: float = 0, memory: int = 0, moved: int = 0) -> Sample:
    """``cpu``: seconds used so far."""
    return Sample(name * 3, name, moment, Usage(cpu=int(cpu * 1e9), memory=memory, pids=1), received=moved)


@pytest.mark.parametrize(
    ("values", "width", "top", "expected"),
    [
        ((), 4, 1, "    "),
        ((0, 0), 4, 1, "    "),
        ((0.001,), 3, 100, "  ▁"),
        ((0, 50, 100), 3, 100, " ▄█"),
        ((100, 1, 1), 2, 100, "▁▁"),
        ((500,), 1, 100, "█"),
        ((5,), 1, 0, " "),
    ],
)
def test_sparkline(values: tuple[float, ...], width: int, top: float, expected: str) -> None:
    assert sparkline(values, width, top) == expected


def test_sparkline_without_utf8() -> None:
    assert sparkline((0, 50, 100), 3, 100, PLAIN) == " =#"


def test_shares_and_rates_come_from_two_looks() -> None:
    history = History()
    history.add([sample("a", 0.0, cpu=1, moved=100)])
    assert list(history.tracks["aaa"].cpu) == []
    history.add([sample("a", 2.0, cpu=2, moved=300)])
    assert list(history.tracks["aaa"].cpu) == [50.0]
    assert list(history.tracks["aaa"].network) == [100.0]


def test_counters_that_begin_anew_are_no_negative_rate() -> None:
    history = History()
    history.add([sample("a", 0.0, cpu=5, moved=100)])
    history.add([sample("a", 1.0, cpu=0, moved=0)])
    assert list(history.tracks["aaa"].cpu) == [0.0]
    assert list(history.tracks["aaa"].network) == [0.0]


def test_who_ended_is_forgotten() -> None:
    history = History()
    history.add([sample("a", 0.0), sample("b", 0.0)])
    history.add([sample("b", 1.0), Sample("aaa", "a", 1.0)])
    assert list(history.tracks) == ["bbb"]


def test_order() -> None:
    history = History()
    for moment in (0.0, 1.0):
        history.add([sample("a", moment, cpu=moment, memory=1), sample("b", moment, memory=2)])
    assert [track.name for track in history.ordered("cpu")] == ["a", "b"]
    assert [track.name for track in history.ordered("memory")] == ["b", "a"]
    assert [track.name for track in history.ordered("name")] == ["a", "b"]
