"""lxcwrap app-end secret-rm."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@click.argument("key", default="")
@click.option("--version", default="", metavar="VERSION", help="This one only.")
@click.option("--unused", is_flag=True, help="Only old versions that no container uses.")
@pass_app
def command(app: App, application: str, key: str, version: str, unused: bool) -> None:
    """Remove a secret or config, or without a KEY all of the application."""
    from lxcwrap.actions.app_end import contents
    from lxcwrap.cli.documents import plain_json

    plain_json({"removed": contents.remove(app.store, application, key, version, unused=unused)})
