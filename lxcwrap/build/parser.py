"""A Dockerfile's text into logical lines.

Source: the Dockerfile reference (parser directives, escape, comments, continuations) and BuildKit's behaviour
where the reference is silent.
"""

from __future__ import annotations

import re

from lxcwrap.build import keywords
from lxcwrap.build.line import Line
from lxcwrap.build.words import split_words
from lxcwrap.errors import BuildError

LINE_LIMIT = 1024 * 1024  # characters of a logical line

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES = ("syntax", "escape", "check")
_COMMENT = re.compile(r"\s*#")
_FLAG = re.compile(r"--([a-zA-Z][a-zA-Z0-9-]*)(?:=(.*))?", re.DOTALL)
_HEREDOC = re.compile(r"\d*<<-?[\"']?[A-Za-z_][A-Za-z0-9_.]*[\"']?")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


def parse(text: str, file: str) -> tuple[Line, ...]:
    """All instructions in order.  Raises BuildError with file and line for what cannot be read."""
    rows = text.removeprefix("\ufeff").split("\n")
    escape = _escape(rows, file)
    lines = tuple(
        parse_line(joined, file, number, last, escape) for number, last, joined in _logical(rows, escape, file)
    )
    if not lines:
        raise BuildError(f"{file}: it has no instructions", hint="a Dockerfile begins with FROM")
    return lines


def _escape(rows: list[str], file: str) -> str:
    """The directives at the top: the first line that is none ends them.  ``syntax`` and ``check`` say nothing here."""
    escape = "\\"
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        match = _DIRECTIVE.fullmatch(row.strip())
        name = match[1].lower() if match else ""
        if not match or name not in _DIRECTIVES:
            break
        if name in seen:
            raise BuildError(f"{file}:{number}: the directive {name!r} stands there twice")
        seen.add(name)
        if name == "escape":
            if match[2] not in ("\\", "`"):
                raise BuildError(f"{file}:{number}: escape={match[2]!r:.20} is neither \\ nor `")
            escape = match[2]
    return escape


def _logical(rows: list[str], escape: str, file: str) -> list[tuple[int, int, str]]:
    """(first line, last line, joined text) of each instruction."""
    mark = re.escape(escape)
    continued = re.compile(rf"(.*?)(?<!{mark}){mark}[ \t]*", re.DOTALL)
    found: list[tuple[int, int, str]] = []
    parts: list[str] = []
    first = last = 0
    for number, row in enumerate(rows, 1):
        row = row.removesuffix("\r")
        if _COMMENT.match(row) or not row.strip():
            continue  # comments and empty lines vanish, inside a continuation too
        first = first if parts else number
        last = number
        match = continued.fullmatch(row)
        parts.append(match[1] if match else row)
        if not match:
            found.append((first, last, "".join(parts)))
            parts = []
    if parts:
        found.append((first, last, "".join(parts)))
    for number, _, joined in found:
        if len(joined) > LINE_LIMIT:
            raise BuildError(f"{file}:{number}: the instruction is longer than {LINE_LIMIT} characters")
    return [line for line in found if line[2].strip()]  # a continuation of nothing is nothing


def parse_line(joined: str, file: str, number: int, last: int, escape: str = "\\") -> Line:
    """One instruction.  Raises BuildError for an unknown keyword or one without arguments."""
    if not joined.strip():
        raise BuildError(f"{file}:{number}: an instruction is empty")
    word, rest = _first_word(joined)
    keyword = word.upper()
    if not keywords.known(keyword):
        raise _unknown(word, file, number)
    text = f"{keyword} {rest}"
    flags, rest = _flags(rest)
    line = Line(file, number, last, keyword, flags, rest, text, escape)
    if not rest:
        raise line.error(f"{keyword} needs an argument")
    if keyword in _WITH_HEREDOCS:
        _refuse_heredoc(line)
    return line


def _unknown(word: str, file: str, number: int) -> BuildError:
    from difflib import get_close_matches

    near = get_close_matches(word.upper(), keywords.listing(), n=1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    return BuildError(f"{file}:{number}: unknown instruction: {word:.60}{guess}")


def _flags(rest: str) -> tuple[tuple[tuple[str, str | None], ...], str]:
    """The ``--name=value`` words at the beginning, and what follows them."""
    flags: list[tuple[str, str | None]] = []
    while rest.startswith("--"):
        word, tail = _first_word(rest)
        if word == "--":
            return tuple(flags), tail
        match = _FLAG.fullmatch(word)
        if not match:
            break
        flags.append((match[1], match[2]))
        rest = tail
    return tuple(flags), rest


def _first_word(text: str) -> tuple[str, str]:
    parts = text.strip().split(None, 1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def _refuse_heredoc(line: Line) -> None:
    if "<<" not in line.rest or line.rest.startswith("["):
        return
    for word in split_words(line.rest, line.escape):
        if _HEREDOC.fullmatch(word):
            raise line.error(f"here-documents are not supported yet: {word}")
