"""The far side of ``image copy``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(hidden=True)
@pass_app
def command(app: App) -> None:
    """Take in images that come on standard input, and say on standard output what is lacking."""
    from lxcwrap.actions import image_receive
    from lxcwrap.storage import driver as drivers

    image_receive.receive(app.store, drivers.choose(app.store, app.storage_driver), 0, 1)
