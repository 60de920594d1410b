"""Remove volumes."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.several import each

EXAMPLES = """\b
Examples:
  lxcwrap volume rm data
  lxcwrap volume rm -f perhaps-there
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@click.option("-f", "--force", is_flag=True, help="A volume that does not exist is no error.")
@pass_app
def command(app: App, names: tuple[str, ...], force: bool) -> int:
    """Remove volumes and their content; not while a container uses them."""
    from lxcwrap.store import volumes

    def remove(name: str) -> None:
        if not force or volumes.find(app.store, name):
            volumes.remove(app.store, name)

    return each(names, remove)
