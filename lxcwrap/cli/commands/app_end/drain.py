"""lxcwrap app-end drain."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("container")
@click.option("--timeout", type=float, default=30, metavar="SECONDS", help="How long to wait at most.")
@pass_app
def command(app: App, container: str, timeout: float) -> None:
    """Wait until nobody is connected to the container, and say how many still are."""
    from lxcwrap.actions.app_end import drain
    from lxcwrap.cli.documents import plain_json
    from lxcwrap.store import containers

    plain_json({"left": drain.drain(app.store, containers.resolve(app.store, container), timeout)})
