"""Give a volume another name."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(epilog="\b\nExamples:\n  lxcwrap volume rename data data-2025\n")
@click.argument("name", metavar="VOLUME")
@click.argument("new_name", metavar="NEW-NAME")
@pass_app
def command(app: App, name: str, new_name: str) -> None:
    """Give a volume another name; not while a container uses it."""
    from lxcwrap.store import volumes

    volumes.rename(app.store, name, new_name)
