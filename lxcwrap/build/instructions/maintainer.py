"""MAINTAINER NAME: the image's author."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage


@dataclass(frozen=True)
class Maintainer:
    line: Line

    def plan(self, stage: Stage) -> None:
        stage.author = self.line.rest
        stage.remember(self.line, f"MAINTAINER {self.line.rest}")


def parse(line: Line) -> Maintainer:
    check_flags(line)
    return Maintainer(line)
