"""Remove volumes that nothing uses."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.confirm import confirmed

EXAMPLES = """\b
Examples:
  lxcwrap volume prune
  lxcwrap volume prune -f --all
  lxcwrap volume prune --filter label!=keep
"""


@click.command(epilog=EXAMPLES)
@click.option("-a", "--all", "everything", is_flag=True, help="Named volumes too.")
@click.option("--filter", "items", multiple=True, metavar="FILTER", help="all, label, label!.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@pass_app
def command(app: App, everything: bool, items: tuple[str, ...], force: bool) -> None:
    """Remove the anonymous volumes that no container uses; with -a the named ones too."""
    from lxcwrap.actions import volumes
    from lxcwrap.model.units import show_bytes

    wanted = filters.parse(items, volumes.PRUNE_FILTERS)
    if everything:
        wanted["all"] = ("true",)
    kind = "all" if wanted.get("all") == ("true",) else "anonymous"
    if not confirmed(f"This will remove {kind} local volumes not used by at least one container.", force):
        return
    removed, freed = volumes.prune(app.store, wanted)
    if removed:
        click.echo("Deleted Volumes:\n" + "\n".join(removed) + "\n")
    click.echo(f"Total reclaimed space: {show_bytes(freed)}")
