"""``lxcwrap rename``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap rename quiet_danube web\n")
@click.argument("container")
@click.argument("name")
@pass_app
def command(app: App, container: str, name: str) -> None:
    """Give a container another name."""
    from lxcwrap.errors import Conflict
    from lxcwrap.model.names import check_name
    from lxcwrap.store import containers

    found = containers.resolve(app.store, container)
    if name == found.name:
        raise Conflict(f"container {name} has this name already")
    containers.rename(app.store, found.id, check_name(name, "container", exit_code=1))
