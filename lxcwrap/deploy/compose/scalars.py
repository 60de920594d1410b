"""What a kind of value is, and the kinds of single values that the table of keys is made of.

Each kind reads a node (into its canonical form, or an error with its place), merges a later file's value over an
earlier one's, and describes itself as JSON schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lxcwrap.deploy.compose.node import Node
from lxcwrap.errors import LxcwrapError
from lxcwrap.model.units import parse_bytes, parse_duration

Schema = dict[str, Any]
Warn = Callable[[str], None]

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
TRUTH = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"), False),
}


class Kind:
    """What a value may be."""

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        raise NotImplementedError

    def merge(self, base: Node, over: Node) -> Node:
        return over

    def schema(self) -> Schema:
        raise NotImplementedError


def wants(node: Node, place: str, what: str) -> Exception:
    found = "a mapping" if isinstance(node.value, dict) else "a list" if isinstance(node.value, tuple) else ""
    shown = found or ("nothing" if node.value is None else f"{node.text!r:.60}")
    return node.error(f"{place}: {what} is wanted, not {shown}")


def checked(node: Node, place: str, check: Callable[[str], Any]) -> Any:
    """What ``check`` makes of the text; its errors get the place."""
    try:
        return check(node.text)
    except LxcwrapError as error:
        raise node.error(f"{place}: {error.message.removeprefix('the value: ')}", error.hint) from None


def check_controls(node: Node, text: str, place: str, *, lines: bool = False) -> None:
    """Control characters are refused, newlines and tabs unless ``lines``.  The text may be secret: it is not shown."""
    for letter in text:
        if (letter < " " or letter == "\x7f") and not (lines and letter in "\n\t\r"):
            hint = "use a secret or a config for several lines" if letter == "\n" else ""
            raise node.error(f"{place}: the value holds the control character {letter!r}", hint)


@dataclass(frozen=True)
class Text(Kind):
    """A text; numbers are taken as they are written.  ``check`` raises for what is not allowed."""

    check: Callable[[str], Any] | None = None
    lines: bool = False  # newlines are allowed
    truths: bool = False  # true and false are taken as texts, too

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if not isinstance(node.value, str):
            raise wants(node, place, "a text")
        if not node.quoted and not self.truths and node.value in ("true", "false"):
            raise node.error(f"{place}: a text is wanted, not {node.value}", "quotes make it one")
        check_controls(node, node.text, place, lines=self.lines)
        if self.check:
            checked(node, place, self.check)
        return node

    def schema(self) -> Schema:
        return {"type": ["string", "number", "boolean"] if self.truths else ["string", "number"]}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if node.value not in self.words:
            raise wants(node, place, " or ".join(filter(None, (", ".join(self.words[:-1]), self.words[-1]))))
        return node

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": list(self.words)}, {"type": "string", "pattern": r"\$"}]}


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number."""

    least: int = 0
    most: int = 2**63 - 1

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if not isinstance(node.value, str) or not _INTEGER.fullmatch(node.value):
            raise wants(node, place, "a whole number")
        number = int(node.value) if len(node.value) < 20 else self.most + 1
        if not self.least <= number <= self.most:
            raise node.error(f"{place}: {node.text:.30} is not between {self.least} and {self.most}")
        return node.with_value(number)

    def schema(self) -> Schema:
        return {"type": ["integer", "string"], "minimum": self.least}


@dataclass(frozen=True)
class Decimal(Kind):
    """A number that is not negative."""

    most: float = 1e9

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if not isinstance(node.value, str) or not _NUMBER.fullmatch(node.value):
            raise wants(node, place, "a number")
        number = float(node.value)
        if not 0 <= number <= self.most:
            raise node.error(f"{place}: {node.text:.30} is not between 0 and {self.most:g}")
        return node.with_value(int(number) if number == int(number) else number)

    def schema(self) -> Schema:
        return {"type": ["number", "string"], "minimum": 0}


@dataclass(frozen=True)
class Truth(Kind):
    """Yes or no."""

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if not isinstance(node.value, str) or node.value not in TRUTH:
            raise wants(node, place, "true or false")
        return node.with_value(TRUTH[node.value])

    def schema(self) -> Schema:
        return {"type": ["boolean", "string"]}


@dataclass(frozen=True)
class Size(Kind):
    """Bytes: ``64m``.  ``value`` stays as written, ``size_of`` has the number."""

    unlimited: bool = False  # -1 is allowed

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if not isinstance(node.value, str):
            raise wants(node, place, "a size such as 64m")
        number = checked(node, place, lambda text: parse_bytes(text, "the value"))
        if number < 0 and not self.unlimited:
            raise node.error(f"{place}: the size is negative")
        return node

    def schema(self) -> Schema:
        return {"type": ["integer", "string"]}


@dataclass(frozen=True)
class Time(Kind):
    """A duration: ``1m30s``.  ``value`` stays as written, ``seconds_of`` has the number."""

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if not isinstance(node.value, str):
            raise wants(node, place, "a duration such as 1m30s")
        checked(node, place, lambda text: parse_duration(text, "the value"))
        return node

    def schema(self) -> Schema:
        return {"type": ["string", "integer"]}


@dataclass(frozen=True)
class Microseconds(Kind):
    """A number of microseconds, or a duration."""

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if isinstance(node.value, str) and _INTEGER.fullmatch(node.value):
            return Whole().read(node, place, warn)
        Time().read(node, place, warn)
        return node.with_value(parse_duration(node.text) // 1000)

    def schema(self) -> Schema:
        return {"type": ["integer", "string"]}


def size_of(node: Node | None) -> int:
    return parse_bytes(node.text) if node else 0


def seconds_of(node: Node | None, default: float = 0) -> float:
    return parse_duration(node.text) / 10**9 if node else default


@dataclass(frozen=True)
class Mode(Kind):
    """A file's permissions, in octal."""

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        octal = isinstance(node.value, str) and re.fullmatch(r"0o?[0-7]{1,4}", node.value)
        if not octal and not (node.quoted and re.fullmatch(r"[0-7]{3,4}", node.text)):
            raise wants(node, place, "an octal mode with a 0 before it, such as 0440,")
        return node.with_value("0" + node.text.removeprefix("0o").lstrip("0").zfill(3))

    def schema(self) -> Schema:
        return {"type": ["integer", "string"]}
