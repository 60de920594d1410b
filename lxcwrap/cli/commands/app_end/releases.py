"""lxcwrap app-end releases."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@pass_app
def command(app: App, application: str) -> None:
    """Print the releases that were recorded here, the newest first."""
    from lxcwrap.actions.app_end import releases
    from lxcwrap.cli.documents import plain_json

    plain_json(releases.listing(app.store, application))
