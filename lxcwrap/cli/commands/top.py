"""Show the processes of a container, or live what all containers use."""

from __future__ import annotations

import sys

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import aligned, write_lines
from lxcwrap.cli.terminal import printable
from lxcwrap.errors import UsageError

group = "container"

NARROWEST = 20  # columns of docker top
PERIOD = 1.0  # seconds between two looks of the live view

EXAMPLES = """\b
Examples:
  lxcwrap top
  lxcwrap top web
  lxcwrap top web -o pid,user,rss,cmd
  lxcwrap top web aux
"""


@click.command(epilog=EXAMPLES, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name", default="", metavar="[CONTAINER]")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[PS OPTIONS]...")
@pass_app
def command(app: App, name: str, options: tuple[str, ...]) -> None:
    """Show the processes of a container, as the host's ps sees them (default options: -ef).

    Without a container: a live view of processor, memory and network of all that run, with their last
    minutes as sparklines.  Keys: c, m, n and a choose the order, q ends it.
    """
    from lxcwrap.actions import stats

    if not name:
        _watch(app)
        return
    rows = stats.processes(app.store, name, options)
    write_lines(aligned([[printable(cell) for cell in row] for row in rows], NARROWEST))


def _watch(app: App) -> None:
    from lxcwrap.actions import stats

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the live view needs a terminal", hint="name a container, or see: lxcwrap stats", exit_code=1)
    from lxcwrap.cli import live

    live.watch(lambda: stats.sample(app.store, stats.chosen(app.store, (), everything=False)), PERIOD)
