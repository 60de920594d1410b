"""Show images in full."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.documents import show
from lxcwrap.cli.refused import refused

EXAMPLES = """\b
Examples:
  lxcwrap image inspect busybox
  lxcwrap image inspect -f '{{.Config.Entrypoint}} {{.Config.Cmd}}' busybox
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-f", "--format", "template", default="", metavar="FORM", help="'json' or a Go template.")
@refused("--platform", reason="an image here is of one platform")
@pass_app
def command(app: App, names: tuple[str, ...], template: str) -> int:
    """Show images as JSON."""
    from lxcwrap.actions import inspect_image

    return show(names, lambda name: inspect_image.document(app.store, name), template)
