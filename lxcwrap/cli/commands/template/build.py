"""lxcwrap template build."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from lxcwrap.cli.app import App, pass_app


@click.command(
    epilog="\b\nExamples:\n"
    "  lxcwrap template build busybox\n"
    "  lxcwrap template build debian --release trixie -t registry.example/base/debian:13"
)
@click.argument("name")
@click.option("--release", default="", metavar="RELEASE", help="The release, instead of the definition's own.")
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="REF", help="The image's name [default: NAME:RELEASE, NAME:latest]."
)
@click.option("--mirror", default="", metavar="URL", help="Where packages come from.")
@click.option("--arch", default="", metavar="ARCH", help="Architecture (amd64, arm64, …) [default: this host's].")
@click.option("-q", "--quiet", is_flag=True, help="Print the image's ID only.")
@pass_app
def command(app: App, name: str, release: str, tags: tuple[str, ...], mirror: str, arch: str, quiet: bool) -> None:
    """Make a base image from its definition and print the image's ID.

    The same definition and the same inputs give the same image; SOURCE_DATE_EPOCH sets its date.
    """
    from lxcwrap.actions import template as templates
    from lxcwrap.storage import driver

    def say(text: str) -> None:
        if not quiet:
            print(f"{name}: {text}", file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, _terminated)
    request = templates.Request(name, release, mirror, arch, tags)
    image_id, names = templates.build(app.store, driver.choose(app.store, app.storage_driver), request, say)
    say(f"tagged {', '.join(names)}")
    click.echo(image_id)


def _terminated(number: int, frame: FrameType | None) -> None:
    """End as on Ctrl-C: what the build made so far goes."""
    sys.exit(128 + number)
