"""Write a container's files as a tar."""

from __future__ import annotations

import sys

import click

from lxcwrap.cli.app import App, pass_app

group = "container"

EXAMPLES = """\b
Examples:
  lxcwrap export -o web.tar web
  lxcwrap export web | tar tf -
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="CONTAINER")
@click.option("-o", "--output", default="", metavar="FILE", help="Write to a file instead of standard output.")
@pass_app
def command(app: App, name: str, output: str) -> None:
    """Write a container's files as a tar, without the content of its volumes."""
    from lxcwrap.actions.export import export
    from lxcwrap.archive.pipeline import behind
    from lxcwrap.cli.written import written
    from lxcwrap.errors import UsageError
    from lxcwrap.store import containers

    container = containers.resolve(app.store, name)
    if not output and sys.stdout.isatty():
        raise UsageError("a tar is not written to a terminal", hint="use -o FILE, or redirect", exit_code=1)
    with written(output) as out, behind(out) as gathered:
        export(app.store, container, gathered)
