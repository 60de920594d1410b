"""lxcwrap network rm."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.several import each


@click.command(epilog="\b\nExamples:\n  lxcwrap network rm shop\n  lxcwrap network rm -f perhaps-there")
@click.argument("names", metavar="NETWORK...", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="A network that does not exist is no error.")
@pass_app
def command(app: App, names: tuple[str, ...], force: bool) -> int:
    """Remove networks; not while a container runs on them."""
    from lxcwrap.actions import own_networks

    return each(names, lambda name: own_networks.remove(app.store, name), missing_is_fine=force)
