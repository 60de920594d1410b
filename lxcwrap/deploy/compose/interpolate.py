"""Variables in values: ``$NAME``, ``${NAME}`` and the forms with a default, an error or an alternative.

Source: the Compose specification, "Interpolation".  ``$$`` is a dollar sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from lxcwrap.deploy.compose.node import Node

LIMIT = 1024 * 1024  # characters of variables in one value
TOTAL = 16 * LIMIT  # characters of all values with variables
_DEPTH = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")

Fail = Callable[[str], Exception]


def fill(node: Node, environment: Mapping[str, str], warn: Callable[[str], None]) -> Node:
    """The node with the variables of all values below it filled in.  Raises UsageError, naming the place."""
    return _Document(environment, warn).fill(node)


class _Document:
    """One file, of which all that is filled in has a limit, too."""

    def __init__(self, environment: Mapping[str, str], warn: Callable[[str], None]) -> None:
        self._environment = environment
        self._warn = warn
        self._room = TOTAL

    def fill(self, node: Node) -> Node:
        if isinstance(node.value, dict):
            return node.with_value({key: self.fill(child) for key, child in node.value.items()})
        if isinstance(node.value, tuple):
            return node.with_value(tuple(map(self.fill, node.value)))
        if node.value is None or "$" not in node.value:
            return node
        filled = text(node.value, self._environment, lambda name: self._warn(_unset(node, name)), node.error)
        self._room -= len(filled)
        if self._room < 0:
            raise node.error(f"with its variables filled in the file is longer than {TOTAL} characters")
        return replace(node, value=filled, text=filled)


def _unset(node: Node, name: str) -> str:
    return f"{node.mark}: variable {name} is not set: an empty text takes its place"


def text(value: str, environment: Mapping[str, str], warn: Callable[[str], None], fail: Fail) -> str:
    """``value`` with its variables filled in; ``warn`` gets the name of each that is not set."""
    return _Text(value, environment, warn, fail).filled()


class _Text:
    """One value, read from left to right."""

    def __init__(self, text: str, environment: Mapping[str, str], warn: Callable[[str], None], fail: Fail) -> None:
        self._text = text
        self._environment = environment
        self._warn = warn
        self._fail = fail
        self._at = 0
        self._room = LIMIT

    def filled(self) -> str:
        return self._until("", 0, needed=True)

    def _until(self, end: str, depth: int, *, needed: bool) -> str:
        """Up to the closing ``end``, or the end of the text.  Only what is ``needed`` is looked up."""
        if depth > _DEPTH:
            raise self._fail("variables are nested too deep")
        parts: list[str] = []
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter == end:
                self._at += 1
                return "".join(parts)
            if letter == "$":
                parts.append(self._variable(depth, needed))
            else:
                parts.append(letter)
                self._at += 1
        if end:
            raise self._invalid()
        return "".join(parts)

    def _variable(self, depth: int, needed: bool) -> str:
        self._at += 1
        if self._text.startswith("$", self._at):
            self._at += 1
            return "$"
        braced = self._text.startswith("{", self._at)
        match = _NAME.match(self._text, self._at + braced)
        if not match:
            raise self._invalid()
        self._at = match.end()
        if not braced:
            return self._plain(match[0], needed)
        operator = _OPERATOR.match(self._text, self._at)
        if not operator:
            if not self._text.startswith("}", self._at):
                raise self._invalid()
            self._at += 1
            return self._plain(match[0], needed)
        self._at = operator.end()
        return self._chosen(match[0], operator[0], depth, needed)

    def _plain(self, name: str, needed: bool) -> str:
        if name not in self._environment:
            if needed:
                self._warn(name)
            return ""
        return self._value(name)

    def _value(self, name: str) -> str:
        value = self._environment.get(name, "")
        self._room -= len(value)
        if self._room < 0:
            raise self._fail(f"with its variables filled in a value is longer than {LIMIT} characters")
        return value

    def _chosen(self, name: str, operator: str, depth: int, needed: bool) -> str:
        value = self._environment.get(name)
        given = bool(value) if operator.startswith(":") else value is not None
        kind = operator[-1]
        other = self._until("}", depth + 1, needed=needed and given == (kind == "+"))
        if kind == "+":
            return other if given else ""
        if given:
            return self._value(name)
        if kind == "-":
            return other
        if needed:
            raise self._fail(f"variable {name} is missing{f': {other}' if other else ''}")
        return ""

    def _invalid(self) -> Exception:
        return self._fail(f"{self._text!r:.100}: what follows a $ is no variable; write $$ for a dollar sign")
