"""``lxcwrap kill``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.several import each

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap kill web\n  lxcwrap kill -s HUP web\n")
@click.option("-s", "--signal", default="KILL", metavar="SIGNAL", help="Signal to send [default: KILL].")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...], signal: str) -> int:
    """Send a signal to containers."""
    from lxcwrap.actions import stop
    from lxcwrap.store.containers import resolve

    return each(containers, lambda name: stop.kill(app.store, resolve(app.store, name), signal))
