"""WORKDIR PATH: where later steps and containers run; made where it is missing."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.steps import MakeDirectory


@dataclass(frozen=True)
class Workdir:
    line: Line

    def plan(self, stage: Stage) -> None:
        text = stage.expand(self.line.rest, self.line)
        if not text:
            raise self.line.error("WORKDIR is empty after its variables were filled in")
        path = stage.path(text).rstrip("/") or "/"
        stage.configure(working_dir=path)
        stage.steps.append(MakeDirectory(self.line, f"WORKDIR {path}", path, stage.config.user))


def parse(line: Line) -> Workdir:
    check_flags(line)
    return Workdir(line)
