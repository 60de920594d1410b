"""Go's text/template language: words and syntax trees.

Source: the package documentation of Go's text/template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from lxcwrap.errors import UsageError

DEEPEST = 60  # nested parentheses and blocks


class TemplateError(UsageError):
    """The template does not parse, or does not fit the document.  Docker's exit code is 1."""

    exit_code = 1


class Word(NamedTuple):
    """``kind``: field, variable, name, literal, or the symbol itself; ``spaced``: a space stands before it."""

    kind: str
    value: Any
    spaced: bool


class Node(NamedTuple):
    """A piece of the tree; ``parts`` depends on the kind (see the parser's methods)."""

    kind: str
    parts: tuple[Any, ...] = ()


_WORD = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<raw>`[^`]*`)
  | (?P<char>'(?:\\.[^']*|[^'\\\n])')
  | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
        |(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.]))
  | (?P<field>\.[^\W\d]\w*)
  | (?P<variable>\$\w*)
  | (?P<name>[^\W\d]\w*)
  | (?P<symbol>:=|[=|().,])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.S
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONSTANTS = {"true": True, "false": False, "nil": None}


def words(action: str) -> list[Word]:
    """The words between ``{{`` and ``}}``.  Raises TemplateError."""
    found: list[Word] = []
    place, spaced = 0, True
    while place < len(action):
        match = _WORD.match(action, place)
        if not match:
            raise TemplateError(f"template: unexpected {action[place : place + 20]!r} in {{{{{action.strip()}}}}}")
        place = match.end()
        if match.lastgroup == "space":
            spaced = True
            continue
        found.append(_word(str(match.lastgroup), match[0], spaced))
        spaced = False
    return found


def _word(kind: str, text: str, spaced: bool) -> Word:
    if kind == "symbol":
        return Word(text, text, spaced)
    if kind == "string":
        return Word("literal", unescape(text[1:-1]), spaced)
    if kind == "raw":
        return Word("literal", text[1:-1], spaced)
    if kind == "char":
        value = unescape(text[1:-1])
        if len(value) != 1:
            raise TemplateError(f"template: malformed character constant {text}")
        return Word("literal", ord(value), spaced)
    if kind == "number":
        return Word("literal", _number(text), spaced)
    if kind == "field":
        return Word("field", text[1:], spaced)
    if kind == "name" and text in _CONSTANTS:
        return Word("nil" if text == "nil" else "literal", _CONSTANTS[text], spaced)
    return Word(kind, text, spaced)


def unescape(text: str) -> str:
    """A Go string literal's content.  Raises TemplateError."""

    def value(match: re.Match[str]) -> str:
        simple, hexadecimal, octal, short, long, other = match.groups()
        if simple:
            return _SIMPLE.get(simple, simple)
        if other is not None:
            raise TemplateError(f"template: bad escape {match[0]!r} in a string")
        number = int(octal, 8) if octal else int(hexadecimal or short or long, 16)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000:
            raise TemplateError(f"template: {match[0]!r} is no character")
        return chr(number)

    return _ESCAPE.sub(value, text)


def _number(text: str) -> int | float:
    try:
        if re.fullmatch(r"[+-]?0\d+", text):
            return int(text, 8)
        return int(text, 0)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise TemplateError(f"template: bad number {text}") from None


def pieces(template: str) -> Iterator[tuple[str, str]]:
    """Alternating ('text', …) and ('action', …), comments left out and trim markers obeyed."""
    place, trim = 0, False
    while True:
        start = template.find("{{", place)
        text = template[place : start if start >= 0 else len(template)]
        if trim:
            text = text.lstrip(" \t\r\n")
        if start < 0:
            yield "text", text
            return
        left = bool(re.match(r"-[ \t\r\n]", template[start + 2 :]))
        yield "text", text.rstrip(" \t\r\n") if left else text
        body, place = _action(template, start + 2 + (2 if left else 0))
        trim = body.endswith("-") and body[-2:-1].isspace()
        if trim:
            body = body[:-1]
        if not body.strip().startswith("/*"):
            yield "action", body


def _action(template: str, start: int) -> tuple[str, int]:
    """The text up to the ``}}`` that is not in a string, and the place after it."""
    comment = re.compile(r"\s*/\*.*?\*/\s*?(\s-)?\}\}", re.S).match(template, start)
    if comment:
        return template[start : comment.end() - 2], comment.end()
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|\'(?:\\.|[^\'\\\n])*\'|(\}\})', re.S)
    for match in pattern.finditer(template, start):
        if match[1]:
            return template[start : match.start()], match.end()
    raise TemplateError("template: unclosed action: '{{' without '}}'")


def parse(template: str) -> Node:
    """The tree of a whole template.  Raises TemplateError."""
    return Parser(list(pieces(template))).template()


class Parser:
    """Recursive descent over the pieces of one template."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        self.pieces = found
        self.place = 0
        self.words: list[Word] = []
        self.action = ""
        self.depth = 0

    def template(self) -> Node:
        body, end = self.block(())
        assert not end
        return body

    def block(self, ends: tuple[str, ...]) -> tuple[Node, str]:
        """Nodes up to one of the words in ``ends``, which is returned with its action still open."""
        self.deeper()
        nodes: list[Node] = []
        while self.place < len(self.pieces):
            kind, text = self.pieces[self.place]
            self.place += 1
            if kind == "text":
                if text:
                    nodes.append(Node("text", (text,)))
                continue
            self.action, self.words = text.strip(), words(text)
            first = self.words[0].value if self.words and self.words[0].kind == "name" else ""
            if first in ends:
                self.words.pop(0)
                self.depth -= 1
                return Node("list", tuple(nodes)), first
            nodes.append(self.statement(first))
        if ends:
            raise TemplateError("template: unexpected end: {{end}} is missing")
        self.depth -= 1
        return Node("list", tuple(nodes)), ""

    def statement(self, first: str) -> Node:
        if first in ("if", "with", "range"):
            self.words.pop(0)
            return self.control(first)
        if first in ("break", "continue"):
            self.words.pop(0)
            self.finish()
            return Node(first)
        if first in ("else", "end"):
            raise TemplateError(f"template: unexpected {{{{{first}}}}}")
        if first in ("define", "template", "block"):
            raise TemplateError(f"template: {{{{{first}}}}} is not supported")
        node = self.pipeline()
        self.finish()
        return node

    def control(self, kind: str) -> Node:
        """``(variables, pipeline, body, otherwise)`` of an if, with or range."""
        head = self.pipeline(loop=kind == "range")
        self.finish()
        body, end = self.block(("else", "end"))
        otherwise = Node("list")
        if end == "else":
            if self.words and self.words[0].value in ("if", "with") and self.words[0].value == kind:
                self.words.pop(0)
                self.deeper()
                otherwise = self.control(kind)
                self.depth -= 1
                return Node(kind, (head, body, otherwise))
            self.finish()
            otherwise, _ = self.block(("end",))
        self.finish()
        return Node(kind, (head, body, otherwise))

    def finish(self) -> None:
        if self.words:
            raise self.unexpected()

    def unexpected(self) -> TemplateError:
        found = self.words[0].value if self.words else "}}"
        return TemplateError(f"template: unexpected {found!r} in {{{{{self.action}}}}}")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise TemplateError(f"template: nested deeper than {DEEPEST}")

    def pipeline(self, *, loop: bool = False) -> Node:
        """``(variables, declares, commands)``; variables are ``$x`` names, one or, in a range, two."""
        variables, declares = self.assignment(loop)
        commands = [self.command()]
        while self.words and self.words[0].kind == "|":
            self.words.pop(0)
            commands.append(self.command())
            head = commands[-1].parts[0]
            if head.kind not in ("call", "field", "chain", "variable"):
                raise TemplateError(f"template: a pipe needs a function after it, in {{{{{self.action}}}}}")
        return Node("pipeline", (variables, declares, tuple(commands)))

    def assignment(self, loop: bool) -> tuple[tuple[str, ...], bool]:
        for count in (1, 2) if loop else (1,):
            head = self.words[: 2 * count]
            kinds = [word.kind for word in head]
            if kinds in (["variable", ":="], ["variable", "="], ["variable", ",", "variable", ":="]) or kinds == [
                "variable", ",", "variable", "=",
            ]:  # fmt: skip
                del self.words[: 2 * count]
                return tuple(word.value for word in head if word.kind == "variable"), kinds[-1] == ":="
        return (), False

    def command(self) -> Node:
        """Operands up to a pipe, a closing parenthesis or the end."""
        operands: list[Node] = []
        while self.words and self.words[0].kind not in ("|", ")"):
            if operands and not self.words[0].spaced:
                raise self.unexpected()
            operands.append(self.operand())
        if not operands:
            raise TemplateError(f"template: missing value in {{{{{self.action}}}}}")
        return Node("command", tuple(operands))

    def operand(self) -> Node:
        node = self.term()
        names: list[str] = []
        while self.words and self.words[0].kind == "field" and not self.words[0].spaced:
            names.append(self.words.pop(0).value)
        if not names:
            return node
        if node.kind in ("literal", "nil", "call", "dot"):
            raise TemplateError(f"template: unexpected .{names[0]} in {{{{{self.action}}}}}")
        if node.kind == "field":
            return Node("field", (*node.parts, *names))
        return Node("chain", (node, *names))

    def term(self) -> Node:
        word = self.words.pop(0)
        if word.kind in ("literal", "nil"):
            return Node(word.kind, (word.value,))
        if word.kind == "field":
            return Node("field", (word.value,))
        if word.kind == "variable":
            return Node("variable", (word.value,))
        if word.kind == ".":
            return Node("dot")
        if word.kind == "name":
            return Node("call", (word.value,))
        if word.kind == "(":
            self.deeper()
            node = self.pipeline()
            if not self.words or self.words.pop(0).kind != ")":
                raise TemplateError(f"template: unclosed left paren in {{{{{self.action}}}}}")
            self.depth -= 1
            return node
        self.words.insert(0, word)
        raise self.unexpected()
