"""HEALTHCHECK [--interval= --timeout= --start-period= --start-interval= --retries=] CMD …, HEALTHCHECK NONE."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import json_list, show_list
from lxcwrap.errors import UsageError
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.units import parse_duration

_DURATIONS = ("interval", "timeout", "start-period", "start-interval")
_SHORTEST = 1_000_000  # ns; Docker refuses anything below a millisecond


@dataclass(frozen=True)
class HealthCheckInstruction:
    line: Line
    check: HealthCheck

    def plan(self, stage: Stage) -> None:
        stage.configure(health=self.check)
        stage.remember(self.line, f"HEALTHCHECK {' '.join(_flags(self.line))}{show_list(self.check.test)}")


def _flags(line: Line) -> list[str]:
    return [f"--{name}={value}" for name, value in line.flags] + [""] * bool(line.flags)


def parse(line: Line) -> HealthCheckInstruction:
    check_flags(line, (*_DURATIONS, "retries"))
    word, *tail = line.rest.split(None, 1)
    if word.upper() == "NONE":
        if tail or line.flags:
            raise line.error("HEALTHCHECK NONE takes no arguments")
        return HealthCheckInstruction(line, HealthCheck(test=("NONE",)))
    if word.upper() != "CMD":
        raise line.error(f"HEALTHCHECK {word:.40} is neither CMD nor NONE")
    if not tail:
        raise line.error("HEALTHCHECK CMD names no command")
    argv = json_list(line, tail[0])
    if argv is not None and not argv:
        raise line.error("HEALTHCHECK CMD names no command")
    test = ("CMD", *argv) if argv else ("CMD-SHELL", tail[0])
    times = {name.replace("-", "_"): _duration(line, name) for name in _DURATIONS}
    return HealthCheckInstruction(line, HealthCheck(test=test, retries=_retries(line), **times))


def _duration(line: Line, name: str) -> int:
    text = line.flag(name)
    if not text:
        return 0
    try:
        value = parse_duration(text, f"--{name}")
    except UsageError as error:
        raise line.error(error.message, error.hint) from None
    if 0 < value < _SHORTEST:
        raise line.error(f"--{name}={text} is shorter than 1ms")
    return value


def _retries(line: Line) -> int:
    text = line.flag("retries")
    if text and not (text.isascii() and text.isdigit() and 0 <= int(text) < 2**31):
        raise line.error(f"--retries={text:.40} is not a number")
    return int(text or 0)
