"""Words of an instruction: quoted words, JSON lists, NAME=value pairs.  Nothing is expanded here."""

from __future__ import annotations

import json

from lxcwrap.build.line import Line


def split_words(text: str, escape: str) -> list[str]:
    """Words by white space; quotes and escapes protect it and are kept."""
    words: list[str] = []
    word = ""
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == escape and quote != "'" and at + 1 < len(text):
            word += text[at : at + 2]
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char.isspace():
            words += [word] if word else []
            word = ""
            at += 1
            continue
        word += char
        at += 1
    return [*words, word] if word else words


def json_list(line: Line, text: str | None = None) -> tuple[str, ...] | None:
    """The exec form ``["a", "b"]``; None when it is anything else, which makes it the shell form.

    ``text`` is a part of the line [default: all].  Raises BuildError for a list with something else than strings.
    """
    text = line.rest if text is None else text
    if not text.startswith("["):
        return None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in items):
        raise line.error(f"{line.keyword}: a list may hold strings only: {text:.100}", "quote each word")
    return tuple(items)


def paths(line: Line) -> tuple[str, ...]:
    """COPY's, ADD's and VOLUME's arguments: a JSON list, or words by white space as they stand."""
    listed = json_list(line)
    return listed if listed is not None else tuple(line.rest.split())


def pairs(line: Line) -> tuple[tuple[str, str], ...]:
    """ENV's and LABEL's ``NAME=value …``, or the old ``NAME value`` form.  Raises BuildError."""
    words = split_words(line.rest, line.escape)
    if "=" not in words[0]:
        parts = line.rest.split(None, 1)
        if len(parts) == 1:
            raise line.error(f"{line.keyword} {parts[0]} has no value", f"write {line.keyword} {parts[0]}=VALUE")
        return ((parts[0], parts[1]),)
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise line.error(f"{line.keyword}: {word!r:.60} is not NAME=value", "quote values that hold blanks")
        if not name:
            raise line.error(f"{line.keyword}: {word!r:.60} has no name before the =")
        found.append((name, value))
    return tuple(found)


def show_list(items: tuple[str, ...]) -> str:
    """As ``history`` shows a list: ``["httpd" "-f"]``."""
    return "[" + " ".join(json.dumps(item, ensure_ascii=False) for item in items) + "]"
