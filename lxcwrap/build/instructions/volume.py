"""VOLUME PATH …: where a container of the image gets an anonymous volume."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import paths


@dataclass(frozen=True)
class Volume:
    line: Line
    places: tuple[str, ...]

    def plan(self, stage: Stage) -> None:
        places = [stage.expand(place, self.line) for place in self.places]
        if not all(places):
            raise self.line.error("VOLUME names an empty path")
        absolute = [stage.path(place).rstrip("/") or "/" for place in places]
        stage.configure(volumes=tuple(sorted({*stage.config.volumes, *absolute})))
        stage.remember(self.line, f"VOLUME [{' '.join(places)}]")


def parse(line: Line) -> Volume:
    check_flags(line)
    places = paths(line)
    if not places:
        raise line.error("VOLUME names no path")
    return Volume(line, places)
