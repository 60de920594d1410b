"""Sizes and durations as Docker reads and prints them."""

from __future__ import annotations

import pytest

from lxcwrap.errors import UsageError
from lxcwrap.model import units


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("512", 512), ("1k", 1024), ("64M", 64 << 20), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("10b", 10),
     ("-1", -1)],
)  # fmt: skip
def test_sizes(text: str, count: int) -> None:
    assert units.parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "m", "1x", "-5", "1 2", "1mm", "٣"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="--memory"):
        units.parse_bytes(text, "--memory")


@pytest.mark.parametrize(
    ("text", "ns"), [("0", 0), ("1s", 10**9), ("1m30s", 90 * 10**9), ("1.5h", 5400 * 10**9), ("5ms", 5 * 10**6)]
)
def test_durations(text: str, ns: int) -> None:
    assert units.parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "1", "s", "1s2", "1d", "-1s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (61, "About a minute"), (180, "3 minutes"),
     (3700, "About an hour"), (7300, "2 hours"),
     (86400 * 3, "3 days"), (86400 * 20, "2 weeks"), (86400 * 90, "3 months"),
     (86400 * 800, "2 years")],
)  # fmt: skip
def test_ages(seconds: float, text: str) -> None:
    assert units.show_duration(seconds) == text


def test_sizes_are_shown_as_docker_does() -> None:
    assert (units.show_bytes(4_261_000), units.show_bytes(0), units.show_memory(3 << 19)) == ("4.26MB", "0B", "1.5MiB")
