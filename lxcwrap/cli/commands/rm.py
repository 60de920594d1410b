"""``lxcwrap rm``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused
from lxcwrap.cli.several import each

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap rm web\n  lxcwrap rm -fv web db\n")
@click.option("-f", "--force", is_flag=True, help="Kill it first if it runs.")
@click.option("-v", "--volumes", is_flag=True, help="Remove its anonymous volumes too.")
@refused("-l", "--link", reason="there are no links", value=False)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...], force: bool, volumes: bool) -> int:
    """Remove containers."""
    from lxcwrap.actions import remove
    from lxcwrap.store.containers import resolve

    return each(
        containers,
        lambda name: remove.remove(app.store, resolve(app.store, name), force=force, anonymous_volumes=volumes),
        missing_is_fine=force,
    )
