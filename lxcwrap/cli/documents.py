"""``inspect``: documents as a JSON list, as one line of JSON, or through a Go template."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from lxcwrap.cli.several import report
from lxcwrap.errors import LxcwrapError
from lxcwrap.model.godata import to_plain


def show(names: Iterable[str], find: Callable[[str], dict[str, Any]], template: str = "") -> int:
    """Print the document of each name; what is missing is reported while the rest is printed.

    Returns the exit code: 1 when something was missing or the template did not fit.  Raises UsageError with exit
    code 64, as Docker, for a template that does not parse.
    """
    if template and template != "json":
        return _show_template(names, find, template)
    found, failed = _all(names, find)
    if template == "json":
        from lxcwrap.cli.goprint import to_json

        print(to_json(found))
    else:
        print(json.dumps(to_plain(found), indent=4, ensure_ascii=False))
    return _reported(failed)


def plain_json(value: Any) -> None:
    """One line, for programs; at once, for one that waits for it."""
    print(json.dumps(value), flush=True)


def _all(
    names: Iterable[str], find: Callable[[str], dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[LxcwrapError]]:
    found, failed = [], []
    for name in names:
        try:
            found.append(find(name))
        except LxcwrapError as error:
            failed.append(error)
    return found, failed


def _show_template(names: Iterable[str], find: Callable[[str], dict[str, Any]], template: str) -> int:
    from lxcwrap.cli.gosyntax import TemplateError
    from lxcwrap.cli.gotemplate import compile_template, render

    try:
        compile_template(template)
    except TemplateError as error:
        error.exit_code = 64
        raise
    failed: list[LxcwrapError] = []
    shown = 0
    for name in names:
        try:
            print(render(template, find(name)))
            shown += 1
        except LxcwrapError as error:
            failed.append(error)
    if not shown:
        print()  # as Docker does, so that the output is never empty
    return _reported(failed)


def _reported(failed: list[LxcwrapError]) -> int:
    for error in failed:
        report(error)
    return 1 if failed else 0
