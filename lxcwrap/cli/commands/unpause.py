"""``lxcwrap unpause``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.several import each

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap unpause web\n")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...]) -> int:
    """Let frozen containers go on."""
    from lxcwrap.actions import stop
    from lxcwrap.store.containers import resolve

    return each(containers, lambda name: stop.pause(app.store, resolve(app.store, name), False))
