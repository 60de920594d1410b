"""lxcwrap security."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lxcwrap.cli.app import App, pass_app

if TYPE_CHECKING:
    from lxcwrap.actions.security import Report

group = "container"

EXAMPLES = """\b
Examples:
  lxcwrap security web
  lxcwrap security --format json web
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
@click.option("--format", "form", default="", metavar="FORM", help="'json' for a list of findings per container.")
@pass_app
def command(app: App, names: tuple[str, ...], form: str) -> int:
    """Say what protects a container from the host and the host from it, and what does not.

    Of a running container the kernel's own files tell (/proc/PID), of another one its configuration.
    """
    from lxcwrap.actions import security
    from lxcwrap.cli.several import report as failure
    from lxcwrap.errors import LxcwrapError, UsageError

    if form not in ("", "json"):
        raise UsageError(f"--format {form!r:.40}: choose json")
    found, code = [], 0
    for name in names:
        try:
            found.append(security.report(app.store, name))
        except LxcwrapError as error:
            failure(error)
            code = 1
    if form:
        _as_json(found)
    else:
        for one in found:
            _in_words(one)
    return code


def _as_json(reports: list[Report]) -> None:
    import json

    plain = [{**one._asdict(), "findings": [each._asdict() for each in one.findings]} for one in reports]
    print(json.dumps(plain, indent=4, ensure_ascii=False))


def _in_words(report: Report) -> None:
    from lxcwrap.cli.terminal import printable

    source = "as the kernel says" if report.source == "kernel" else "as it is configured"
    print(f"{report.name} ({report.status}), {source}")
    for title, wanted in (("What protects:", True), ("What does not:", False)):
        chosen = [each for each in report.findings if each.protects is wanted]
        if chosen:
            print(f"  {title}")
        for each in chosen:
            print(printable(f"    {each.topic:17} {each.text}"))
