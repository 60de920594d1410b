"""Progress of long actions: bars on a terminal, one line a step anywhere else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from lxcwrap.actions.progress import SILENT, Progress
from lxcwrap.cli.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


@contextmanager
def shown(*, quiet: bool = False, errors: bool = False) -> Iterator[Progress]:
    """What to hand to an action; bars are taken off the screen's end when it is done.

    With ``errors`` they go to stderr, where the output is not the command's own.
    """
    stream = sys.stderr if errors else sys.stdout
    if quiet:
        yield SILENT
    elif not stream.isatty():
        yield Lines(stream)
    else:
        with _bars(stream) as bars:
            yield Drawn(bars)


class Lines:
    """For pipes and logs: states only, no bars."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def message(self, text: str) -> None:
        with self._lock:
            self._stream.write(printable(text) + "\n")
            self._stream.flush()

    def state(self, item: str, text: str) -> None:
        self.message(f"{item}: {text}")

    def advance(self, item: str, doing: str, done: int, total: int) -> None: ...


class Drawn:
    """For a terminal: a line an item, with a bar while bytes move."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def message(self, text: str) -> None:
        self._bars.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def state(self, item: str, text: str) -> None:
        task = self._task(item, text)
        self._bars.update(task, description=f"{item}: {printable(text)}", bar=False)

    def advance(self, item: str, doing: str, done: int, total: int) -> None:
        task = self._task(item, doing)
        self._bars.update(task, description=f"{item}: {doing}", completed=done, total=total, bar=done < total)

    def _task(self, item: str, text: str) -> TaskID:
        with self._lock:
            if item not in self._tasks:
                self._tasks[item] = self._bars.add_task(f"{item}: {text}", total=1, bar=False)
            return self._tasks[item]


def _bars(stream: TextIO) -> Bars:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, DownloadColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Moving(ProgressColumn):
        """A column that is empty while no bytes move."""

        def __init__(self, column: ProgressColumn) -> None:
            super().__init__()
            self._column = column

        def render(self, task: Task) -> RenderableType:
            return self._column(task) if task.fields.get("bar") else Text("")

    columns = (TextColumn("{task.description}", markup=False), Moving(BarColumn(30)), Moving(DownloadColumn()))
    return Bars(*columns, console=Console(file=stream, soft_wrap=True))
