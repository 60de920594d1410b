"""The instructions there are: one file each in ``instructions/``, found by listing, imported when first used.

A file is named after its keyword, with ``_`` added where Python reserves the word.  It has one function,
``parse(line: Line) -> Instruction``.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lxcwrap.build.line import Line
    from lxcwrap.build.stage import Stage

_PLACE = os.path.join(os.path.dirname(__file__), "instructions")


class Instruction(Protocol):
    """A checked instruction: what it does to a stage when the stage is planned."""

    @property
    def line(self) -> Line: ...

    def plan(self, stage: Stage) -> None:
        """Change the stage's configuration, add its steps.  Raises BuildError."""


@cache
def listing() -> tuple[str, ...]:
    """All keywords, in upper case."""
    names = (entry[:-3] for entry in os.listdir(_PLACE) if entry.endswith(".py") and not entry.startswith("_"))
    return tuple(sorted(name.rstrip("_").upper() for name in names))


def known(keyword: str) -> bool:
    return keyword in listing()


def instruction(line: Line) -> Instruction:
    """The line's instruction, its syntax checked.  Raises BuildError."""
    name = line.keyword.lower()
    module = f"{name}_" if name == "from" else name
    parsed: Instruction = import_module(f"lxcwrap.build.instructions.{module}").parse(line)
    return parsed
