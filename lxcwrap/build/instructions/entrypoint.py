"""ENTRYPOINT LINE, ENTRYPOINT ["PROGRAM", "ARGUMENT", …]: what always runs.

It forgets the CMD that the base image had, but not one that this stage set before.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import json_list, show_list


@dataclass(frozen=True)
class Entrypoint:
    """``argv`` None: the shell form."""

    line: Line
    argv: tuple[str, ...] | None

    def plan(self, stage: Stage) -> None:
        argv = self.argv if self.argv is not None else (*stage.shell, self.line.rest)
        stage.configure(entrypoint=argv)
        if "CMD" not in stage.last:
            stage.configure(command=())
        stage.remember(self.line, f"ENTRYPOINT {show_list(argv)}")


def parse(line: Line) -> Entrypoint:
    check_flags(line)
    return Entrypoint(line, json_list(line))
