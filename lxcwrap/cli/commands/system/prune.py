"""Remove what nothing uses."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.confirm import confirmed

EXAMPLES = """\b
Examples:
  lxcwrap system prune
  lxcwrap system prune -a -f --filter until=240h
  lxcwrap system prune --volumes
"""


@click.command(epilog=EXAMPLES)
@click.option("-a", "--all", "everything", is_flag=True, help="All images that no container uses, not only untagged.")
@click.option("--filter", "items", multiple=True, metavar="FILTER", help="label, label!, until (10m, a date).")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--volumes", is_flag=True, help="Anonymous volumes that no container uses, too.")
@pass_app
def command(app: App, everything: bool, items: tuple[str, ...], force: bool, volumes: bool) -> None:
    """Remove stopped containers, unused images and the build cache, in that order."""
    from lxcwrap.actions import prune_containers
    from lxcwrap.errors import UsageError

    wanted = filters.parse(items, prune_containers.FILTERS)
    if volumes and "until" in wanted:
        raise UsageError("the until filter does not apply to --volumes", exit_code=1)
    if confirmed(_warning(everything, volumes), force):
        _prune(app, wanted, everything, volumes)


def _warning(everything: bool, volumes: bool) -> str:
    parts = [
        "all stopped containers",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        "all images without at least one container associated to them" if everything else "all dangling images",
        "unused build cache",
    ]
    return "This will remove:\n" + "".join(f"  - {part}\n" for part in parts)


def _prune(app: App, wanted: dict[str, tuple[str, ...]], everything: bool, volumes: bool) -> None:
    from lxcwrap.actions import prune_builds, prune_containers, prune_images
    from lxcwrap.actions import volumes as volume_actions
    from lxcwrap.model.units import show_bytes

    removed, total = prune_containers.prune(app.store, wanted)
    _say("Deleted Containers:", removed)
    if volumes:
        removed, freed = volume_actions.prune(app.store, wanted)
        total += freed
        _say("Deleted Volumes:", removed)
    pruned = prune_images.prune(app.store, wanted, everything=everything)
    _say("Deleted Images:", list(pruned.lines))
    total += pruned.freed
    if not any(name.startswith("label") for name in wanted):  # cached steps have no labels
        total += prune_builds.prune(app.store, wanted.get("until", ("",))[-1])
    click.echo(f"Total reclaimed space: {show_bytes(total)}")


def _say(title: str, lines: list[str]) -> None:
    if lines:
        click.echo("\n".join([title, *lines]) + "\n")
