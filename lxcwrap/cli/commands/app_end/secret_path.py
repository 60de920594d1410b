"""lxcwrap app-end secret-path."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@click.argument("key")
@click.argument("version")
@click.option("--config", is_flag=True, help="A config.")
@click.option("--use", default="0-0-0444", metavar="UID-GID-MODE", help="Whose the file is, and its mode.")
@pass_app
def command(app: App, application: str, key: str, version: str, config: bool, use: str) -> None:
    """Print the path of a version's file, for a container to mount."""
    from lxcwrap.actions.app_end import contents
    from lxcwrap.cli.documents import plain_json

    plain_json({"path": contents.file_of(app.paths, application, key, version, use, config=config)})
