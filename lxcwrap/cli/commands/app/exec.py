"""lxcwrap app exec."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options

EXAMPLES = """\b
Examples:
  lxcwrap app exec web cat /etc/hostname
  lxcwrap app exec -it --index 2 web sh
"""


@click.command(epilog=EXAMPLES, context_settings={"allow_interspersed_args": False})
@application_options
@click.option("-i", "--interactive", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-u", "--user", default="", metavar="USER", help="Who it runs as.")
@click.option(
    "--index", type=int, default=0, metavar="N", help="Which of the service's containers [default: the first]."
)
@click.argument("service")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARG...]")
@pass_app
def command(
    app: App,
    service: str,
    words: tuple[str, ...],
    interactive: bool,
    tty: bool,
    user: str,
    index: int,
    **options: Any,
) -> int:
    """Run a command in one of a service's containers, on whichever host it is."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.replicas import run_in

    flags = [flag for flag, given in (("-i", interactive), ("-t", tty)) if given]
    flags += ["-u", user] if user else []
    return run_in(app, files.name(options), service, index, flags, words)
