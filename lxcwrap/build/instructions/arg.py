"""ARG NAME[=default] …: variables of the build alone, from --build-arg, the default, or before the first FROM."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage
from lxcwrap.build.words import split_words


@dataclass(frozen=True)
class Arg:
    """(name, default not expanded yet or None) in order."""

    line: Line
    names: tuple[tuple[str, str | None], ...]

    def plan(self, stage: Stage) -> None:
        """All defaults are expanded with what was set before this line."""
        defaults = [
            (name, None if default is None else stage.expand(default, self.line)) for name, default in self.names
        ]
        for name, default in defaults:
            stage.declare(name, _value(stage, name, default))
        stage.remember(self.line, f"ARG {' '.join(_shown(name, stage.args[name]) for name, _ in self.names)}")


def _value(stage: Stage, name: str, default: str | None) -> str | None:
    """--build-arg, then this line's default, then the platform's own, then the one declared before FROM."""
    arguments = stage.arguments
    if name in arguments.given:
        return arguments.given[name]
    if default is not None:
        return default
    if name in arguments.outer:
        return arguments.outer[name]
    return arguments.platform.get(name)


def _shown(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value}"


def parse(line: Line) -> Arg:
    check_flags(line)
    names: list[tuple[str, str | None]] = []
    for word in split_words(line.rest, line.escape):
        name, equals, default = word.partition("=")
        if not name:
            raise line.error(f"ARG: {word!r:.60} has no name before the =")
        names.append((name, default if equals else None))
    return Arg(line, tuple(names))
