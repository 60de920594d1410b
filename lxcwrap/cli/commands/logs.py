"""``lxcwrap logs``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap logs -f --tail 20 web\n  lxcwrap logs --since 10m -t web\n")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--tail", default="all", metavar="N", help="Only the last N lines [default: all].")
@click.option("--since", default="", metavar="WHEN", help="From a time (RFC 3339 or Unix) or so long ago (10m).")
@click.option("--until", default="", metavar="WHEN", help="Up to a time.")
@click.option("-t", "--timestamps", is_flag=True, help="Show the time of each line.")
@click.option("--details", is_flag=True, help="Show the log's attributes (there are none: a blank) before each line.")
@click.argument("container")
@pass_app
def command(
    app: App, container: str, follow: bool, tail: str, since: str, until: str, timestamps: bool, details: bool
) -> None:
    """Show what a container wrote to stdout and stderr."""
    from lxcwrap.actions import logs
    from lxcwrap.store.containers import resolve

    found = resolve(app.store, container)
    wanted, form = logs.Wanted.parse(tail, since, until), logs.Form(timestamps, details)
    logs.show(app.store, found, wanted, form, follow=follow)
