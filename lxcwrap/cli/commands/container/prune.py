"""Remove containers that do not run."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.confirm import confirmed

EXAMPLES = """\b
Examples:
  lxcwrap container prune
  lxcwrap container prune -f --filter until=24h
  lxcwrap container prune --filter label!=keep
"""


@click.command(epilog=EXAMPLES)
@click.option("--filter", "items", multiple=True, metavar="FILTER", help="label, label!, until (10m, a date).")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@pass_app
def command(app: App, items: tuple[str, ...], force: bool) -> None:
    """Remove all containers that do not run."""
    from lxcwrap.actions import prune_containers
    from lxcwrap.model.units import show_bytes

    wanted = filters.parse(items, prune_containers.FILTERS)
    if not confirmed("This will remove all stopped containers.", force):
        return
    removed, freed = prune_containers.prune(app.store, wanted)
    if removed:
        click.echo("Deleted Containers:\n" + "\n".join(removed) + "\n")
    click.echo(f"Total reclaimed space: {show_bytes(freed)}")
