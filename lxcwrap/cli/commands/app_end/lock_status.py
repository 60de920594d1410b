"""lxcwrap app-end lock-status."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@pass_app
def command(app: App, application: str) -> None:
    """Say who holds the application's lock."""
    from lxcwrap.actions.app_end import lock
    from lxcwrap.cli.documents import plain_json

    found = lock.find(app.paths, application)
    plain_json({"held": bool(found), "holder": found.to_json() if found else None})
