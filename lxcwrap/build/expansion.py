"""Variables in a Dockerfile's words: ``$x``, ``${x}``, ``${x:-y}`` and the rest; quotes and escapes are removed.

Source: the Dockerfile reference, "Environment replacement".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lxcwrap.build.line import Line

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]|[@*#?$!-]")


def expand(text: str, values: Mapping[str, str], line: Line) -> str:
    """One word.  An unset variable is empty.  Raises BuildError for what does not parse, or ``${x:?text}``."""
    return _Scanner(text, values, line).whole()


def expand_words(text: str, values: Mapping[str, str], line: Line) -> list[str]:
    """Words by white space after expansion, so that a variable may hold several."""
    scanner = _Scanner(text, values, line)
    scanner.splits = True
    joined = scanner.whole()
    return [word for word in joined.split(_BREAK) if word]


LIMIT = 1024 * 1024  # characters that the variables of a word may add
_BREAK = "\0"  # between words; a Dockerfile that holds it is refused before


class _Scanner:
    """Reads ``text`` from ``at``."""

    def __init__(self, text: str, values: Mapping[str, str], line: Line) -> None:
        self.text = text
        self.at = 0
        self.values = values
        self.line = line
        self.splits = False
        self.added = 0
        if _BREAK in text:
            raise line.error("a NUL character stands in the instruction")

    def whole(self) -> str:
        try:
            return self.word("")
        except RecursionError:
            raise self.line.error(f"variables are nested too deep: {self.text!r:.100}") from None

    def word(self, stop: str) -> str:
        """Up to one of the ``stop`` characters or the end."""
        found: list[str] = []
        while self.at < len(self.text) and self.text[self.at] not in stop:
            char = self.text[self.at]
            if char == "'":
                found.append(self._single())
            elif char == '"':
                found.append(self._double())
            elif char == "$":
                value = self._variable()
                found.append(re.sub(r"\s+", _BREAK, value) if self.splits else value)
            elif char == self.line.escape:
                self.at += 1
                found.append(self._next() if self.at < len(self.text) else "")
            else:
                found.append(_BREAK if self.splits and char.isspace() else char)
                self.at += 1
        return "".join(found)

    def _next(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise self.line.error(f"a quote is not closed: {self.text!r:.100}")
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        return inner

    def _double(self) -> str:
        self.at += 1
        found: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            following = self.text[self.at + 1 : self.at + 2]
            if char == '"':
                self.at += 1
                return "".join(found)
            if char == "$":
                found.append(self._variable())
            elif char == self.line.escape and following and following in f'"${self.line.escape}':
                self.at += 2
                found.append(following)
            else:
                found.append(self._next())
        raise self.line.error(f"a double quote is not closed: {self.text!r:.100}")

    def _variable(self) -> str:
        value = self._value()
        self.added += len(value)
        if self.added > LIMIT:
            raise self.line.error(f"with its variables filled in it is longer than {LIMIT} characters")
        return value

    def _value(self) -> str:
        self.at += 1
        if self.text[self.at : self.at + 1] == "{":
            return self._braces()
        match = _NAME.match(self.text, self.at)
        if not match:
            return "$"
        self.at = match.end()
        return self.values.get(match[0], "")

    def _braces(self) -> str:
        self.at += 1
        match = _NAME.match(self.text, self.at)
        if not match:
            raise self.line.error(f"bad substitution: {self.text!r:.100}")
        name = match[0]
        self.at = match.end()
        operator = self._operator()
        if not operator:
            self._close()
            return self.values.get(name, "")
        splits, self.splits = self.splits, False
        operand = self.word("/}" if operator[0] == "/" else "}")
        replacement = ""
        if operator[0] == "/" and self.text[self.at : self.at + 1] == "/":
            self.at += 1
            replacement = self.word("}")
        self.splits = splits
        self._close()
        return self._apply(name, operator, operand, replacement)

    def _operator(self) -> str:
        for operator in (":-", ":+", ":?", "##", "%%", "//", "-", "+", "?", "#", "%", "/"):
            if self.text.startswith(operator, self.at):
                self.at += len(operator)
                return operator
        return ""

    def _close(self) -> None:
        if self.text[self.at : self.at + 1] != "}":
            raise self.line.error(f"bad substitution: {self.text!r:.100}")
        self.at += 1

    def _apply(self, name: str, operator: str, operand: str, replacement: str) -> str:
        value = self.values.get(name)
        if operator[-1] in "-+?":
            there = value is not None and (operator[0] != ":" or value != "")
            if operator[-1] == "+":
                return operand if there else ""
            if not there and operator[-1] == "?":
                raise self.line.error(f"{name}: {operand or 'it is not set'}")
            return value or "" if there else operand
        return _TRIMS[operator](value or "", operand, replacement)


def _prefix(value: str, pattern: str, greedy: bool) -> str:
    cuts = range(len(value), -1, -1) if greedy else range(len(value) + 1)
    regex = _pattern(pattern)
    return next((value[cut:] for cut in cuts if regex.fullmatch(value[:cut])), value)


def _suffix(value: str, pattern: str, greedy: bool) -> str:
    cuts = range(len(value) + 1) if greedy else range(len(value), -1, -1)
    regex = _pattern(pattern)
    return next((value[:cut] for cut in cuts if regex.fullmatch(value[cut:])), value)


def _replace(value: str, pattern: str, replacement: str, count: int) -> str:
    return _pattern(pattern).sub(lambda _: replacement, value, count=count) if pattern else value


_TRIMS: dict[str, Callable[[str, str, str], str]] = {
    "#": lambda value, pattern, _: _prefix(value, pattern, greedy=False),
    "##": lambda value, pattern, _: _prefix(value, pattern, greedy=True),
    "%": lambda value, pattern, _: _suffix(value, pattern, greedy=False),
    "%%": lambda value, pattern, _: _suffix(value, pattern, greedy=True),
    "/": lambda value, pattern, replacement: _replace(value, pattern, replacement, 1),
    "//": lambda value, pattern, replacement: _replace(value, pattern, replacement, 0),
}


def _pattern(pattern: str) -> re.Pattern[str]:
    """A shell pattern with ``*`` and ``?``; a slash is a character like any other."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.DOTALL)
