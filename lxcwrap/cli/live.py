"""The live view: a table of running containers with sparklines, drawn by rich on the terminal's other screen."""

from __future__ import annotations

import os
import select
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lxcwrap.actions.history import History, Track, latest
from lxcwrap.actions.stats import Sample, memory_total
from lxcwrap.cli.terminal import printable
from lxcwrap.model.units import show_bytes, show_memory

BLOCKS = " ▁▂▃▄▅▆▇█"
PLAIN = " .:-=+*#"  # for terminals without UTF-8
KEYS = {"c": "cpu", "m": "memory", "n": "network", "a": "name"}
_WIDTHS = (30, 20, 10, 5)  # columns of a sparkline, as wide as the terminal allows
_REST = 72  # columns that everything else needs


def sparkline(values: Sequence[float], width: int, top: float, marks: str = BLOCKS) -> str:
    """The last ``width`` values, right-aligned, as characters between nothing and ``top``; more is full."""
    shown = list(values)[-width:]
    highest = len(marks) - 1
    return "".join(_mark(value, top, marks, highest) for value in shown).rjust(width)


def _mark(value: float, top: float, marks: str, highest: int) -> str:
    if value <= 0 or top <= 0:
        return marks[0]
    return marks[min(highest, max(1, round(value / top * highest)))]


def watch(look: Callable[[], list[Sample]], period: float) -> None:
    """Draw until the user presses q or Ctrl-C.  ``look`` tells what is used now; ``period``: seconds between looks."""
    console, history, key = Console(), History(), "cpu"
    history.add(look())
    with _keys() as typed, Live(console=console, screen=True, auto_refresh=False) as live:
        due = time.monotonic() + period
        while True:
            live.update(table(history, key, console.width, console.height, console.encoding), refresh=True)
            pressed = typed(max(0.0, due - time.monotonic()))
            if pressed in ("q", "\x03", "\x04"):
                return
            key = KEYS.get(pressed, key)
            if time.monotonic() >= due:
                history.add(look())
                due += period


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Reads single keys; the terminal is put back as it was, whatever happens."""
    before = termios.tcgetattr(0)

    def typed(seconds: float) -> str:
        """A key, or '' when none is pressed for so long."""
        if not select.select([0], [], [], seconds)[0]:
            return ""
        return os.read(0, 1).decode(errors="replace") or "q"  # the end of the input ends the view

    try:
        tty.setcbreak(0, termios.TCSADRAIN)
        yield typed
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def table(history: History, key: str, width: int, height: int, encoding: str) -> Table:
    """What fits on the screen of what runs, ordered by ``key``."""
    marks = BLOCKS if encoding.lower().replace("-", "") == "utf8" else PLAIN
    length = next((each for each in _WIDTHS if _REST + 3 * each <= width), 0)
    tracks = history.ordered(key)
    drawn = Table(box=None, expand=False, pad_edge=False, header_style="bold")
    title = f"{len(tracks)} running, by {key}   (c cpu, m memory, n network, a name, q quit)"
    drawn.title = Text(title, no_wrap=True, overflow="ellipsis")
    drawn.title_justify = "left"
    drawn.add_column("NAME", no_wrap=True, max_width=24)
    for title in ("CPU %", "MEMORY", "NET /S", "PIDS"):
        drawn.add_column(title, justify="right", no_wrap=True)
        if length and title != "PIDS":
            drawn.add_column("", no_wrap=True, min_width=length)
    busiest = max((max(track.network, default=0.0) for track in tracks), default=0.0)
    for track in tracks[: max(1, height - 3)]:
        drawn.add_row(*_row(track, length, busiest, marks))
    return drawn


def _row(track: Track, length: int, busiest: float, marks: str) -> Iterator[Text]:
    limit = min(track.limit or memory_total(), memory_total())
    processor = max(100.0, *track.cpu) if track.cpu else 100.0  # the full height is one processor, or the most so far
    yield Text(printable(track.name))
    for label, series, top, style in (
        (f"{latest(track.cpu):.1f}", track.cpu, processor, "green"),
        (show_memory(latest(track.memory)), track.memory, limit, "cyan"),
        (show_bytes(latest(track.network)), track.network, busiest, "magenta"),
    ):
        yield Text(label)
        if length:
            yield Text(sparkline(series, length, top, marks), style=style)
    yield Text(str(track.pids))
