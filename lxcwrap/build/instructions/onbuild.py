"""ONBUILD INSTRUCTION: kept in the image, carried out right after the FROM of a build that is based on it."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.keywords import instruction
from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.parser import parse_line
from lxcwrap.build.stage import Stage

_NOT_ALLOWED = ("ONBUILD", "FROM", "MAINTAINER")


@dataclass(frozen=True)
class OnBuild:
    line: Line

    def plan(self, stage: Stage) -> None:
        stage.configure(on_build=(*stage.config.on_build, self.line.rest))
        stage.remember(self.line, f"ONBUILD {self.line.rest}")


def parse(line: Line) -> OnBuild:
    check_flags(line)
    inner = parse_line(line.rest, line.file, line.number, line.last, line.escape)
    if inner.keyword in _NOT_ALLOWED:
        raise line.error(f"ONBUILD {inner.keyword} is not allowed")
    instruction(inner)
    return OnBuild(line)
