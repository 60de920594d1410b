"""Listings: Docker's aligned tables, JSON lines, and templates a row."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lxcwrap.cli.terminal import printable

PADDING = 3  # spaces between columns, and ...
NARROWEST = 10  # ... the least width of one, as Docker's
_OUTSIDE = re.compile(r"(\{\{.*?\}\})|\\([tn])", re.S)

Columns = Sequence[tuple[str, str]]  # (HEADER, field)
Row = Mapping[str, object]


def show(rows: Iterable[Row], columns: Columns, *, template: str = "", quiet: str = "") -> None:
    """Print a listing.

    ``template``: '' or ``table`` is the aligned table, ``json`` one object a line, ``table …`` a table made from a
    template, anything else a Go template a row.  ``quiet`` is the field that is printed alone; a template wins
    over it.  Raises UsageError for a bad template.
    """
    template = template.strip() if template.strip() in ("", "table", "json") else template
    if quiet and template in ("", "table"):
        write_lines(str(row[quiet]) for row in rows)
    elif template in ("", "table"):
        fields = [field for _, field in columns]
        body = [[printable(str(row[field])) for field in fields] for row in rows]
        write_lines(aligned([[header for header, _ in columns], *body]))
    elif template == "json":
        _show_json(rows)
    else:
        _show_template(rows, columns, template)


def _show_json(rows: Iterable[Row]) -> None:
    from lxcwrap.cli.goprint import to_json

    write_lines(to_json(dict(sorted(row.items()))) for row in rows)


def _show_template(rows: Iterable[Row], columns: Columns, template: str) -> None:
    from lxcwrap.cli.gotemplate import compile_template, render

    is_table = bool(re.match(r"table\s", template))
    body = _OUTSIDE.sub(lambda m: m[1] or {"t": "\t", "n": "\n"}[m[2]], template[5:].strip() if is_table else template)
    compile_template(body)  # a mistake is one even when there is nothing to list
    lines = [render(body, {key: _safe(value) for key, value in sorted(row.items())}) for row in rows]
    if not is_table:
        write_lines(lines)
        return
    headers: dict[str, Any] = {field: header for header, field in columns}
    headers["Label"] = _label_header
    title = render(body, {**headers}, header=True)
    write_lines(aligned([line.split("\t") for text in (title, *lines) for line in text.split("\n")]))


def _safe(value: object) -> object:
    return printable(value) if isinstance(value, str) else value


def _label_header(name: object) -> str:
    return str(name).rpartition(".")[2].replace("-", " ").replace("_", " ")


def aligned(rows: Sequence[Sequence[str]], narrowest: int = NARROWEST) -> list[str]:
    """Lines with columns under each other; the last cell of a line is not padded."""
    widths: dict[int, int] = {}
    for row in rows:
        for place, cell in enumerate(row[:-1]):
            widths[place] = max(widths.get(place, narrowest), width(cell) + PADDING)
    return [
        "".join(cell + " " * (widths[place] - width(cell)) for place, cell in enumerate(row[:-1])) + row[-1]
        for row in rows
    ]


def width(text: str) -> int:
    """Columns that a terminal uses: two for wide East Asian characters, none for combining ones."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def shortened(text: str, columns: int) -> str:
    """At most so many columns, the last an ellipsis when something was cut."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def write_lines(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
