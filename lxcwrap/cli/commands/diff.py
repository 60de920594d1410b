"""Show what a container changed."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap diff web\n")
@click.argument("name", metavar="CONTAINER")
@pass_app
def command(app: App, name: str) -> None:
    """Show the files that a container added (A), changed (C) and deleted (D)."""
    from lxcwrap.cli.terminal import printable
    from lxcwrap.storage import driver as drivers
    from lxcwrap.storage.layers import lowers
    from lxcwrap.store import containers

    container = containers.resolve(app.store, name)
    driver = drivers.load(container.driver)
    place = app.store.paths.container(container.id)
    for change in driver.changes(place, lowers(app.store, container.chain_id), container.id_base):
        click.echo(f"{change.kind} {printable(change.path)}")
