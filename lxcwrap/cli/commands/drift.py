"""lxcwrap drift."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options


@click.command(epilog="\b\nExamples:\n  lxcwrap drift\n  lxcwrap drift -p shop --format json")
@application_options
@click.option("--format", "form", default="text", type=click.Choice(["text", "json"]), help="How it is shown.")
@pass_app
def command(app: App, form: str, **options: Any) -> int:
    """Compare what runs with the release that was completed last, whatever the file says by now.

    The exit code is 2 when something differs: a container that somebody stopped, removed, added or made anew.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.deploying import show_drift

    return show_drift(app, files.name(options), form=form)
