"""COPY [--from=STAGE|IMAGE] [--chown=USER[:GROUP]] [--chmod=MODE] SOURCE … TARGET."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxcwrap.build import steps
from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import paths

FLAGS = ("from", "chown", "chmod")
LATER_FLAGS = ("link", "parents", "exclude")

_MODE = re.compile(r"0?[0-7]{1,4}")


@dataclass(frozen=True)
class Copy:
    """``origin`` is not expanded yet."""

    line: Line
    sources: tuple[str, ...]
    target: str
    origin: str

    def plan(self, stage: Stage) -> None:
        stage.steps.append(transfer(stage, self.line, self.sources, self.target, origin=self.origin))


def transfer(
    stage: Stage, line: Line, sources: tuple[str, ...], target: str, *, origin: str = "", unpacks: bool = False
) -> steps.Copy:
    """The step of a COPY or ADD, its words expanded.  Raises BuildError."""
    places = tuple(stage.expand(source, line) for source in sources)
    shown = stage.expand(target, line)
    goal = stage.path(shown)
    owner = stage.expand(line.flag("chown"), line)
    mode = stage.expand(line.flag("chmod"), line)
    if mode and not _MODE.fullmatch(mode):
        raise line.error(f"--chmod={mode:.40} is not an octal mode", "write it like 0644")
    if len(places) > 1 and not goal.endswith("/"):
        raise line.error(f"several sources need a directory as target: {goal}/", "end the target with a slash")
    described = [f"--{name}={value}" for name, value in line.flags]
    created_by = " ".join((line.keyword, *described, *places, shown))
    return steps.Copy(
        line, created_by, places, goal, stage.expand(origin, line), owner, int(mode, 8) if mode else None, unpacks
    )


def split_paths(line: Line) -> tuple[tuple[str, ...], str]:
    """Sources and target.  Raises BuildError."""
    words = paths(line)
    if len(words) < 2 or not all(words):
        raise line.error(f"{line.keyword} needs at least one source and a target")
    return words[:-1], words[-1]


def parse(line: Line) -> Copy:
    check_flags(line, FLAGS, LATER_FLAGS)
    sources, target = split_paths(line)
    return Copy(line, sources, target, line.flag("from"))
