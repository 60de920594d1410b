"""lxcwrap app logs."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options


@click.command(epilog="\b\nExamples:\n  lxcwrap app logs\n  lxcwrap app logs -f --tail 20 web")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@application_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option("-n", "--tail", default="", metavar="N", help="Only the last N lines of each container.")
@click.option(
    "--since", default="", metavar="TIME", help="Only what was printed since then (10m, 2026-01-31T12:00:00)."
)
@click.option("-t", "--timestamps", is_flag=True, help="The time of each line.")
@pass_app
def command(
    app: App, services: tuple[str, ...], follow: bool, tail: str, since: str, timestamps: bool, **options: Any
) -> int:
    """Show what an application's containers print, each line with its container's name before it."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.following import follow as show

    words = ["--follow"] if follow else []
    words += ["--tail", tail] if tail else []
    words += ["--since", since] if since else []
    words += ["--timestamps"] if timestamps else []
    return show(app, files.name(options), services, words)


for option in command.params:
    if option.name == "files":
        option.opts = ["--file"]  # -f follows here, as fingers expect
