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
    from lxcwrap.actions import update
    from lxcwrap.errors import Conflict
    from lxcwrap.model.names import check_name
    from lxcwrap.store import containers

    found = containers.resolve(app.store, container)
    if name == found.name:
        raise Conflict(f"container {name} has this name already")
    update.rename(app.store, found, check_name(name, "container", exit_code=1))
    if found.config.network.mode not in ("bridge", "none", "host") or found.config.network.more:
        from lxcwrap.actions import joining

        joining.renamed(app.store, containers.resolve(app.store, found.id))
