"""Make a volume from a tar."""

from __future__ import annotations

import sys

import click

from lxcwrap.cli.app import App, pass_app

EXAMPLES = """\b
Examples:
  lxcwrap volume import data data.tar
  lxcwrap volume export data | ssh other lxcwrap volume import data
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="VOLUME")
@click.argument("place", metavar="[FILE|-]", default="-")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label.")
@pass_app
def command(app: App, name: str, place: str, labels: tuple[str, ...]) -> None:
    """Make a new volume from a tar (plain, gzip, bzip2, xz or zstd), as volume export writes it.

    When that fails half-way there is no volume.
    """
    from contextlib import nullcontext

    from lxcwrap.actions import export
    from lxcwrap.actions.volume_archive import import_volume
    from lxcwrap.actions.volumes import pairs
    from lxcwrap.errors import UsageError

    if place == "-" and sys.stdin.isatty():
        raise UsageError("a tar is not read from a terminal", hint="name a file, or redirect", exit_code=1)
    with nullcontext(sys.stdin.buffer) if place == "-" else export.source(place) as stream:
        click.echo(import_volume(app.store, name, stream, labels=pairs(labels, "label")).name)
