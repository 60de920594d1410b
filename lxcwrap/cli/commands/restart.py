"""``lxcwrap restart``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.several import each

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap restart web\n")
@click.option("-s", "--signal", default="", metavar="SIGNAL", help="Signal to send [default: the container's].")
@click.option("-t", "--timeout", "--time", type=int, default=None, metavar="SECONDS", help="Time before it is killed.")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...], signal: str, timeout: int | None) -> int:
    """Stop containers and start them again."""
    from lxcwrap.actions import start, stop
    from lxcwrap.store.containers import resolve

    def restart(name: str) -> None:
        container = resolve(app.store, name)
        stop.stop(app.store, container, timeout=timeout, signal_name=signal)
        start.start(app.store, container)
        app.store.event("container", "restart", container.id, container.attributes)

    return each(containers, restart)
