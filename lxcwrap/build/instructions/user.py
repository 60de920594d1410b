"""USER USER[:GROUP]: who later steps and containers run as."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage


@dataclass(frozen=True)
class User:
    line: Line

    def plan(self, stage: Stage) -> None:
        user = stage.expand(self.line.rest, self.line)
        if not user or any(char.isspace() for char in user):
            raise self.line.error(f"USER {user!r:.100} is not user[:group]")
        stage.configure(user=user)
        stage.remember(self.line, f"USER {user}")


def parse(line: Line) -> User:
    check_flags(line)
    return User(line)
