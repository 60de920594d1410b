"""lxcwrap builder prune."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused


@click.command(epilog="\b\nExamples:\n  lxcwrap builder prune -f\n  lxcwrap builder prune -f --filter until=48h")
@click.option("-a", "--all", "everything", is_flag=True, hidden=True, help="All of it goes anyway.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="until=DURATION", help="Only what was not used since.")
@refused("--keep-storage", "--max-used-space", "--min-free-space", "--reserved-space", reason="the cache has no quota")
@pass_app
def command(app: App, everything: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Forget the build cache and remove the layers that only it holds."""
    from lxcwrap.actions import prune_builds
    from lxcwrap.cli import filters as words
    from lxcwrap.cli.confirm import confirmed
    from lxcwrap.model.units import show_bytes

    until = words.parse(filters, {"until"}).get("until", ())
    if not confirmed("This will remove the build cache.", force):
        return
    click.echo(f"Total reclaimed space: {show_bytes(prune_builds.prune(app.store, until[-1] if until else ''))}")
