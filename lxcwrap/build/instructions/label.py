"""LABEL NAME=value …: facts about the image."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import pairs


@dataclass(frozen=True)
class Label:
    line: Line
    pairs: tuple[tuple[str, str], ...]

    def plan(self, stage: Stage) -> None:
        expanded = [(stage.expand(name, self.line), stage.expand(value, self.line)) for name, value in self.pairs]
        merged = {**dict(stage.config.labels), **dict(expanded)}
        stage.configure(labels=tuple(sorted(merged.items())))
        stage.remember(self.line, "LABEL " + " ".join(f"{name}={value}" for name, value in expanded))


def parse(line: Line) -> Label:
    check_flags(line)
    return Label(line, pairs(line))
