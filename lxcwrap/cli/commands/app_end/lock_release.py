"""lxcwrap app-end lock-release."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@pass_app
def command(app: App, application: str) -> None:
    """End the process that holds the application's lock."""
    from lxcwrap.actions.app_end import lock
    from lxcwrap.cli.documents import plain_json

    plain_json({"released": lock.release(app.paths, application).to_json()})
