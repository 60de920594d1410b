"""Show the processes of a container."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import aligned, write_lines
from lxcwrap.cli.terminal import printable

group = "container"

NARROWEST = 20  # columns of docker top

EXAMPLES = """\b
Examples:
  lxcwrap top web
  lxcwrap top web -o pid,user,rss,cmd
  lxcwrap top web aux
"""


@click.command(epilog=EXAMPLES, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name", metavar="CONTAINER")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[PS OPTIONS]...")
@pass_app
def command(app: App, name: str, options: tuple[str, ...]) -> None:
    """Show the processes of a container, as the host's ps sees them (default options: -ef)."""
    from lxcwrap.actions import stats

    rows = stats.processes(app.store, name, options)
    write_lines(aligned([[printable(cell) for cell in row] for row in rows], NARROWEST))
