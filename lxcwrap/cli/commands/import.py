"""Make an image of one layer from a tar."""

from __future__ import annotations

import sys

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.platforms import parse_platform

group = "image"

EXAMPLES = """\b
Examples:
  lxcwrap import rootfs.tar.gz me/base:1
  lxcwrap export web | lxcwrap import -c 'CMD ["/bin/sh"]' - me/flat
  lxcwrap import https://example.com/rootfs.tar.xz me/base
"""


@click.command(epilog=EXAMPLES)
@click.argument("place", metavar="FILE|URL|-")
@click.argument("reference", metavar="[REPOSITORY[:TAG]]", default="")
@click.option("-c", "--change", "changes", multiple=True, metavar="LINE", help="A Dockerfile instruction to apply.")
@click.option("-m", "--message", default="", metavar="TEXT", help="A comment in the image's history.")
@click.option("--platform", default="", metavar="OS/ARCH", help="What the files run on [default: this host's].")
@pass_app
def command(app: App, place: str, reference: str, changes: tuple[str, ...], message: str, platform: str) -> None:
    """Make an image of one layer from a tar (plain, gzip, bzip2, xz or zstd), and print its ID."""
    from contextlib import nullcontext

    from lxcwrap.actions import export
    from lxcwrap.storage import driver as drivers

    wanted = parse_platform(platform)
    driver = drivers.choose(app.store, app.storage_driver)
    with nullcontext(sys.stdin.buffer) if place == "-" else export.source(place) as stream:
        image_id = export.import_image(
            app.store,
            driver,
            stream,
            reference,
            message=message or f"Imported from {place}",
            changes=changes,
            platform=wanted,
        )
    click.echo(image_id)
