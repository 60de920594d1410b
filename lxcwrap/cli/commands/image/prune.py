"""Remove images that nothing uses."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.confirm import confirmed

EXAMPLES = """\b
Examples:
  lxcwrap image prune
  lxcwrap image prune -a -f --filter until=240h
"""


@click.command(epilog=EXAMPLES)
@click.option("-a", "--all", "everything", is_flag=True, help="Also images with a name that no container uses.")
@click.option("--filter", "items", multiple=True, metavar="FILTER", help="until, label, label!.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@pass_app
def command(app: App, everything: bool, items: tuple[str, ...], force: bool) -> None:
    """Remove images without a name that no container uses, and what cut pulls left; with -a named ones too."""
    from lxcwrap.actions import prune_images
    from lxcwrap.model.units import show_bytes

    wanted = filters.parse(items, prune_images.FILTERS)
    what = "all images without at least one container associated to them" if everything else "all dangling images"
    if not confirmed(f"This will remove {what}.", force):
        return
    pruned = prune_images.prune(app.store, wanted, everything=everything)
    if pruned.lines:
        click.echo("Deleted Images:\n" + "\n".join(pruned.lines) + "\n")
    click.echo(f"Total reclaimed space: {show_bytes(pruned.freed)}")
