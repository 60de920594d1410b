"""lxcwrap network prune."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.confirm import confirmed


@click.command(epilog="\b\nExamples:\n  lxcwrap network prune\n  lxcwrap network prune -f --filter label!=keep")
@click.option("--filter", "items", multiple=True, metavar="FILTER", help="label, label!.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@pass_app
def command(app: App, items: tuple[str, ...], force: bool) -> None:
    """Remove the networks that no container is on."""
    from lxcwrap.actions import own_networks

    wanted = filters.parse(items, own_networks.PRUNE_FILTERS)
    if not confirmed("This will remove all custom networks not used by at least one container.", force):
        return
    removed = own_networks.prune(app.store, wanted)
    if removed:
        click.echo("Deleted Networks:\n" + "\n".join(removed) + "\n")
