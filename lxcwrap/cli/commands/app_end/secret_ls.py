"""lxcwrap app-end secret-ls."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@pass_app
def command(app: App, application: str) -> None:
    """List versions of secrets and configs, and the containers that use each."""
    from lxcwrap.actions.app_end import contents
    from lxcwrap.cli.documents import plain_json

    plain_json(contents.listing(app.store, application))
