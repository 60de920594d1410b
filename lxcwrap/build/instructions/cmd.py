"""CMD LINE, CMD ["PROGRAM", "ARGUMENT", …]: what runs by default, or the entrypoint's default arguments."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import json_list, show_list


@dataclass(frozen=True)
class Cmd:
    """``argv`` None: the shell form."""

    line: Line
    argv: tuple[str, ...] | None

    def plan(self, stage: Stage) -> None:
        argv = self.argv if self.argv is not None else (*stage.shell, self.line.rest)
        stage.configure(command=argv)
        stage.last["CMD"] = self.line
        stage.remember(self.line, f"CMD {show_list(argv)}")


def parse(line: Line) -> Cmd:
    check_flags(line)
    return Cmd(line, json_list(line))
