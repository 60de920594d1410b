"""ADD [--chown=USER[:GROUP]] [--chmod=MODE] SOURCE … TARGET: COPY that unpacks local archives and downloads URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxcwrap.build.instructions.copy import split_paths, transfer
from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage

FLAGS = ("chown", "chmod")
LATER_FLAGS = ("link", "exclude", "checksum", "keep-git-dir", "unpack")

_GIT = re.compile(r"git@|git://|ssh://|https?://[^#]*\.git(#.*)?$")


@dataclass(frozen=True)
class Add:
    line: Line
    sources: tuple[str, ...]
    target: str

    def plan(self, stage: Stage) -> None:
        step = transfer(stage, self.line, self.sources, self.target, unpacks=True)
        for source in step.sources:
            if _GIT.match(source):
                raise self.line.error(f"ADD from a git repository is not supported yet: {source:.200}")
        stage.steps.append(step)


def parse(line: Line) -> Add:
    check_flags(line, FLAGS, LATER_FLAGS)
    return Add(line, *split_paths(line))
