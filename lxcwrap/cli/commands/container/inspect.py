"""Show containers in full."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.documents import show

EXAMPLES = """\b
Examples:
  lxcwrap container inspect web
  lxcwrap container inspect -f '{{json .Config.Env}}' web
  lxcwrap container inspect -s -f '{{.SizeRw}}' web
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
@click.option("-f", "--format", "template", default="", metavar="FORM", help="'json' or a Go template.")
@click.option("-s", "--size", is_flag=True, help="Also the bytes that they use.")
@pass_app
def command(app: App, names: tuple[str, ...], template: str, size: bool) -> int:
    """Show containers as JSON."""
    from lxcwrap.actions import inspect_container

    return show(names, lambda name: inspect_container.document(app.store, name, size=size), template)
