"""ENV NAME=value …: variables for later steps and for containers."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import pairs


@dataclass(frozen=True)
class Env:
    line: Line
    pairs: tuple[tuple[str, str], ...]

    def plan(self, stage: Stage) -> None:
        """All values are expanded with what was set before this line."""
        before = self.line
        expanded = [(stage.expand(name, before), stage.expand(value, before)) for name, value in self.pairs]
        stage.set_environment(expanded)
        stage.remember(self.line, "ENV " + " ".join(f"{name}={value}" for name, value in expanded))


def parse(line: Line) -> Env:
    check_flags(line)
    return Env(line, pairs(line))
