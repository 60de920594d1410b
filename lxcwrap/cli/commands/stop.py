"""``lxcwrap stop``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.several import each

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap stop web\n  lxcwrap stop -t 30 db\n")
@click.option("-s", "--signal", default="", metavar="SIGNAL", help="Signal to send [default: the container's].")
@click.option("-t", "--timeout", "--time", type=int, default=None, metavar="SECONDS", help="Time before it is killed.")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...], signal: str, timeout: int | None) -> int:
    """Ask containers to end, and kill those that do not."""
    from lxcwrap.actions import stop
    from lxcwrap.store.containers import resolve

    return each(
        containers,
        lambda name: stop.stop(app.store, resolve(app.store, name), timeout=timeout, signal_name=signal),
    )
