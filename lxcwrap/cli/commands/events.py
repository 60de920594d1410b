"""``lxcwrap events``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app

group = "system"

EXAMPLES = """\b
Examples:
  lxcwrap events
  lxcwrap events --since 1h --until 0s --filter type=container --filter event=die
  lxcwrap events --filter container=web --format json
  lxcwrap events --format '{{.Action}} {{.Actor.Attributes.name}}'
"""


@click.command(epilog=EXAMPLES)
@click.option("-f", "--filter", "items", multiple=True, metavar="FILTER", help="Only those that fit (name=value).")
@click.option("--format", "template", default="", metavar="FORM", help="'json' (one object a line) or a template.")
@click.option("--since", default="", metavar="WHEN", help="From a time (RFC 3339 or Unix) or so long ago (10m).")
@click.option("--until", default="", metavar="WHEN", help="End at a time; without it, go on until interrupted.")
@pass_app
def command(app: App, items: tuple[str, ...], template: str, since: str, until: str) -> None:
    """Show what happens to containers, images and volumes, as it happens.

    Filters: container, event, id, image, label, network, scope, type, volume.  Values of one filter are alternatives
    (labels must all fit); different filters must all fit.
    """
    import time

    from lxcwrap.actions import events
    from lxcwrap.cli.terminal import printable
    from lxcwrap.model.selection import moment

    wanted = filters.parse(items, events.FILTERS)
    events.check(wanted)
    now = time.time()
    begin, end = (moment(text, now) if text else None for text in (since, until))
    show = _printer(template) if template else lambda event: printable(events.line(event))
    for event in events.follow(app.store, wanted, begin, end):
        print(show(event), flush=True)


def _printer(template: str) -> Callable[[dict[str, Any]], str]:
    if template == "json":
        from lxcwrap.cli.goprint import to_json

        return to_json
    from lxcwrap.cli.gotemplate import compile_template, render

    compile_template(template)
    return lambda event: render(template, event)
