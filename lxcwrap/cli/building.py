"""How a build shows itself: BuildKit's plain lines, or on a terminal a few lines that change."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lxcwrap.build.report import Report, Silent
from lxcwrap.cli.terminal import printable

_SHOWN = 4  # lines of output below a running step on a terminal
_KEPT = 20  # lines of output shown again when a step fails
_TURN = 0.1  # seconds between two looks of the clock


@contextmanager
def shown(style: str) -> Iterator[Report]:
    """The report for ``--progress``; on a terminal ``auto`` is ``tty``."""
    if style == "quiet":
        yield Quiet()
    elif style == "tty" or (style == "auto" and sys.stderr.isatty()):
        report = Terminal()
        try:
            yield report
        finally:
            report.close()
    else:
        yield Plain()


@dataclass
class _Step:
    number: int
    title: str
    began: float
    rest: bytes = b""
    lines: list[tuple[float, str]] = field(default_factory=list)

    def add(self, content: bytes) -> list[str]:
        """The lines that are complete now, fit for a terminal."""
        *whole, self.rest = (self.rest + content).split(b"\n")
        found = [_clean(line) for line in whole]
        self.lines += [(time.monotonic() - self.began, line) for line in found]
        del self.lines[:-_KEPT]
        return found

    def flush(self) -> list[str]:
        return self.add(b"\n") if self.rest else []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


def _clean(line: bytes) -> str:
    text = line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
    return printable(text.expandtabs())


class _Drawn:
    """What both forms share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[int, _Step] = {}

    def _begin(self, title: str) -> _Step:
        step = _Step(len(self._steps) + 1, printable(title), time.monotonic())
        self._steps[step.number] = step
        return step

    def _write(self, *lines: str) -> None:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()


def _failure(step: _Step) -> list[str]:
    """The failed step's last output, set apart."""
    if not step.lines:
        return []
    return ["------", f" > {step.title}:", *(f"{at:.3f} {line}" for at, line in step.lines), "------"]


class Quiet(Silent):
    """Says nothing, but for what a failed step said last."""

    def __init__(self) -> None:
        self._drawn = Plain()
        self._drawn.silent = True

    def start(self, title: str) -> int:
        return self._drawn.start(title)

    def output(self, number: int, content: bytes) -> None:
        self._drawn.output(number, content)

    def failed(self, number: int, message: str) -> None:
        self._drawn.silent = False
        self._drawn.failed(number, message)


class Plain(_Drawn):
    """A line for everything that happens, with the step's number in front."""

    silent = False
    _last = 0

    def start(self, title: str) -> int:
        with self._lock:
            step = self._begin(title)
            self._say(step.number, step.title)
            return step.number

    def output(self, number: int, content: bytes) -> None:
        with self._lock:
            step = self._steps[number]
            for line in step.add(content):
                self._say(number, f"{step.seconds:.3f} {line}" if step.title.startswith("[") else line)

    def done(self, number: int, *, cached: bool = False) -> None:
        with self._lock:
            step = self._steps[number]
            for line in step.flush():
                self._say(number, f"{step.seconds:.3f} {line}")
            self._say(number, "CACHED" if cached else f"DONE {step.seconds:.1f}s")

    def failed(self, number: int, message: str) -> None:
        with self._lock:
            step = self._steps[number]
            for line in step.flush():
                self._say(number, f"{step.seconds:.3f} {line}")
            self._say(number, f"ERROR: {printable(message)}")
            if not self.silent:
                self._write(*_failure(step))

    def warn(self, message: str) -> None:
        with self._lock:
            self._write(f"[Warning] {printable(message)}")

    def _say(self, number: int, text: str) -> None:
        """An empty line sets apart the lines of different steps."""
        if self.silent:
            return
        apart = [""] if self._last and self._last != number else []
        self._last = number
        self._write(*apart, f"#{number} {text}")


class Terminal(_Drawn):
    """Finished steps stay, running ones are drawn again and again below them."""

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[int, _Step] = {}
        self._drawn = 0
        self._began = time.monotonic()
        self._closed = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._clock.start()

    def start(self, title: str) -> int:
        with self._lock:
            step = self._begin(title)
            self._running[step.number] = step
            return step.number

    def output(self, number: int, content: bytes) -> None:
        with self._lock:
            self._steps[number].add(content)

    def done(self, number: int, *, cached: bool = False) -> None:
        with self._lock:
            step = self._running.pop(number)
            self._settle(f"CACHED {step.title}" if cached else step.title, "0.0s" if cached else f"{step.seconds:.1f}s")

    def failed(self, number: int, message: str) -> None:
        with self._lock:
            step = self._running.pop(number)
            step.flush()
            self._settle(f"ERROR {step.title}", f"{step.seconds:.1f}s", _failure(step))

    def warn(self, message: str) -> None:
        with self._lock:
            self._settle(f"[Warning] {printable(message)}", "")

    def close(self) -> None:
        self._closed.set()
        self._clock.join()
        with self._lock:
            self._erase()
            self._write(f"[+] finished in {time.monotonic() - self._began:.1f}s")

    def _tick(self) -> None:
        while not self._closed.wait(_TURN):
            with self._lock:
                self._erase()
                self._draw()

    def _settle(self, text: str, time_: str, more: list[str] | None = None) -> None:
        self._erase()
        self._write(_row(f" => {text}", time_), *(more or ()))

    def _erase(self) -> None:
        if self._drawn:
            sys.stderr.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        lines: list[str] = []
        for step in self._running.values():
            lines.append(_row(f" => {step.title}", f"{step.seconds:.1f}s"))
            lines += [_row(f" => => # {line}", "") for _, line in step.lines[-_SHOWN:]]
        self._write(*lines) if lines else None
        self._drawn = len(lines)


def _row(text: str, time_: str) -> str:
    """One line that fits the terminal, the time at its right end."""
    import shutil

    width = shutil.get_terminal_size().columns - 1
    room = max(width - len(time_) - 1, 10)
    text = text if len(text) <= room else text[: room - 1] + "…"
    return f"{text:<{room}} {time_}".rstrip()
