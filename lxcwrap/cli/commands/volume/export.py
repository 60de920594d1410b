"""Write a volume's files as a tar."""

from __future__ import annotations

import sys

import click

from lxcwrap.cli.app import App, pass_app

EXAMPLES = """\b
Examples:
  lxcwrap volume export -o data.tar data
  lxcwrap volume export data | gzip >data.tar.gz
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="VOLUME")
@click.option("-o", "--output", default="", metavar="FILE", help="Write to a file instead of standard output.")
@pass_app
def command(app: App, name: str, output: str) -> None:
    """Write a volume's files as a tar.  What a container changes meanwhile may be in it half."""
    from lxcwrap.actions.volume_archive import export
    from lxcwrap.archive.pipeline import behind
    from lxcwrap.cli.written import written
    from lxcwrap.errors import UsageError
    from lxcwrap.store import volumes

    volumes.get(app.store, name)
    if not output and sys.stdout.isatty():
        raise UsageError("a tar is not written to a terminal", hint="use -o FILE, or redirect", exit_code=1)
    with written(output) as out, behind(out) as gathered:
        export(app.store, name, gathered)
