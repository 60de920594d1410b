"""Read images from an archive."""

from __future__ import annotations

import sys

import click

from lxcwrap.cli.app import App, pass_app

group = "image"

EXAMPLES = """\b
Examples:
  lxcwrap load -i app.tar
  docker save app:1.2 | lxcwrap load
"""


@click.command(epilog=EXAMPLES)
@click.option("-i", "--input", "path", default="", metavar="FILE", help="Read from here instead of standard input.")
@click.option("--platform", default="", metavar="OS/ARCH", help="Of an archive with several, another than this host's.")
@click.option("-q", "--quiet", is_flag=True, help="Only the names of what was loaded.")
@pass_app
def command(app: App, path: str, platform: str, quiet: bool) -> None:
    """Read images with their names from an archive: of save, docker save, or an OCI layout; also compressed."""
    from lxcwrap.actions import load
    from lxcwrap.cli.platforms import parse_platform
    from lxcwrap.cli.progress import shown
    from lxcwrap.errors import LxcwrapError
    from lxcwrap.storage import driver as drivers

    if not path and sys.stdin.isatty():
        raise LxcwrapError("cannot load from a terminal", hint="use -i FILE or redirect the input")
    wanted = parse_platform(platform)
    driver = drivers.choose(app.store, app.storage_driver)
    with open(path or 0, "rb", closefd=bool(path)) as stream, shown(quiet=quiet) as progress:
        loaded = load.load(app.store, driver, stream, platform=wanted, progress=progress)
    for image in loaded:
        for name, old in image.replaced:
            click.echo(f"The image {name} already exists, renaming the old one with ID {old} to empty string")
        for name in image.names:
            click.echo(f"Loaded image: {name}")
        if not image.names:
            click.echo(f"Loaded image ID: {image.image_id}")
