"""Write images into an archive."""

from __future__ import annotations

import sys

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.written import written

group = "image"

EXAMPLES = """\b
Examples:
  lxcwrap save -o app.tar app:1.2
  lxcwrap save app:1.2 | ssh other sudo lxcwrap load
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
@click.option("-o", "--output", default="", metavar="FILE", help="Write here instead of to standard output.")
@pass_app
def command(app: App, names: tuple[str, ...], output: str) -> None:
    """Write images with their names into a tar archive, which is an OCI layout and what docker load reads.

    A repository without a tag stands for all its tags.  The same images give the same bytes.
    """
    from lxcwrap.actions import save
    from lxcwrap.errors import LxcwrapError
    from lxcwrap.storage import driver as drivers

    driver = drivers.choose(app.store, app.storage_driver)
    if not output and sys.stdout.isatty():
        raise LxcwrapError("cannot save to a terminal", hint="use -o FILE or redirect the output")
    with written(output) as out:
        save.save(app.store, driver, names, out)
