"""FROM [--platform=PLATFORM] IMAGE|STAGE|scratch [AS NAME]: a stage begins."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage

_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_RESERVED = ("scratch", "context")


@dataclass(frozen=True)
class From:
    """``base`` and ``platform`` are not expanded yet; ``name`` is in lower case."""

    line: Line
    base: str
    name: str = ""
    platform: str = ""

    def plan(self, stage: Stage) -> None:
        raise self.line.error("FROM is not allowed here")


def parse(line: Line) -> From:
    check_flags(line, ("platform",))
    words = line.rest.split()
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        raise line.error("FROM takes one argument, or three: FROM IMAGE AS NAME")
    name = words[2].lower() if len(words) == 3 else ""
    if name and not _NAME.fullmatch(name):
        raise line.error(f"the stage name {words[2]!r:.100} is not allowed", "use letters, digits, '_', '-' and '.'")
    if name in _RESERVED:
        raise line.error(f"the stage name {name!r} is reserved")
    return From(line, words[0], name, line.flag("platform"))
