"""RUN LINE, RUN ["PROGRAM", "ARGUMENT", …]: a command in a container; what it changes becomes a layer."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.steps import Run
from lxcwrap.build.words import json_list

LATER_FLAGS = ("mount", "network", "security", "device")


@dataclass(frozen=True)
class RunCommand:
    """``argv`` None: the shell form."""

    line: Line
    argv: tuple[str, ...] | None

    def plan(self, stage: Stage) -> None:
        argv = self.argv if self.argv is not None else (*stage.shell, self.line.rest)
        env, proxies, declared = stage.run_environment()
        counted = f"|{len(declared)} {' '.join(declared)} " if declared else ""
        created_by = f"RUN {counted}{' '.join(argv)}"
        stage.steps.append(Run(self.line, created_by, argv, env, proxies, stage.working_dir, stage.config.user))


def parse(line: Line) -> RunCommand:
    check_flags(line, later=LATER_FLAGS)
    argv = json_list(line)
    if argv is not None and not argv:
        raise line.error("RUN [] names no command")
    return RunCommand(line, argv)
