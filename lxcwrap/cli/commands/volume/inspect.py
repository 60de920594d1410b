"""Show volumes in full."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.documents import show

EXAMPLES = """\b
Examples:
  lxcwrap volume inspect data
  lxcwrap volume inspect -f '{{.Mountpoint}}' data
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@click.option("-f", "--format", "template", default="", metavar="FORM", help="'json' or a Go template.")
@pass_app
def command(app: App, names: tuple[str, ...], template: str) -> int:
    """Show volumes as JSON."""
    from lxcwrap.actions import volumes

    return show(names, lambda name: volumes.document(app.store, name), template)
