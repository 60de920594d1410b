"""STOPSIGNAL SIGNAL: what ``stop`` sends first."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage

_REAL_TIME = re.compile(r"RTM(IN|AX)([+-][0-9]{1,2})?")


@dataclass(frozen=True)
class StopSignal:
    line: Line

    def plan(self, stage: Stage) -> None:
        name = stage.expand(self.line.rest, self.line).strip()
        if not is_signal(name):
            raise self.line.error(f"STOPSIGNAL: {name!r:.40} is not a signal", "write SIGTERM or 15")
        stage.configure(stop_signal=name)
        stage.remember(self.line, f"STOPSIGNAL {name}")


def is_signal(name: str) -> bool:
    """A name with or without SIG, or a number from 1 to 64."""
    if name.isascii() and name.isdigit():
        return 1 <= int(name) <= 64
    short = name.upper().removeprefix("SIG")
    return f"SIG{short}" in signal.Signals.__members__ or bool(_REAL_TIME.fullmatch(short))


def parse(line: Line) -> StopSignal:
    check_flags(line)
    return StopSignal(line)
