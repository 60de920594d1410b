"""EXPOSE PORT[-PORT][/PROTOCOL] …: the ports that a container of the image listens on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxcwrap.build.line import Line, check_flags
from lxcwrap.build.stage import Stage

_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([A-Za-z]+))?")
_PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True)
class Expose:
    line: Line

    def plan(self, stage: Stage) -> None:
        words = stage.expand_words(self.line.rest, self.line)
        ports = [port for word in words for port in _ports(self.line, word)]
        stage.configure(exposed=tuple(sorted({*stage.config.exposed, *ports}, key=_order)))
        stage.remember(self.line, f"EXPOSE {' '.join(words)}")


def _ports(line: Line, word: str) -> list[str]:
    match = _PORT.fullmatch(word)
    protocol = (match[3] or "tcp").lower() if match else ""
    first = int(match[1]) if match else 0
    last = int(match[2] or first) if match else 0
    if not 1 <= first <= last <= 65535 or protocol not in _PROTOCOLS:
        raise line.error(f"EXPOSE: {word!r:.60} is not a port", "write PORT, FIRST-LAST or PORT/udp")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _order(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol


def parse(line: Line) -> Expose:
    check_flags(line)
    return Expose(line)
