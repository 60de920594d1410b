"""SHELL ["PROGRAM", "ARGUMENT", …]: what the shell forms of RUN, CMD and ENTRYPOINT use."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import json_list, show_list


@dataclass(frozen=True)
class Shell:
    line: Line
    argv: tuple[str, ...]

    def plan(self, stage: Stage) -> None:
        stage.configure(shell=self.argv)
        stage.remember(self.line, f"SHELL {show_list(self.argv)}")


def parse(line: Line) -> Shell:
    check_flags(line)
    argv = json_list(line)
    if not argv:
        raise line.error("SHELL takes a JSON list", 'write SHELL ["/bin/bash", "-c"]')
    return Shell(line, argv)
