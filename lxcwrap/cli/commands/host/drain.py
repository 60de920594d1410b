"""lxcwrap host drain."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.deploying import deploying_options


@click.command(epilog="\b\nExamples:\n  lxcwrap host drain web1\n  lxcwrap host drain web1 --off")
@click.argument("name")
@click.option("--off", is_flag=True, help="Take containers again, from the next deployments on.")
@deploying_options
@click.option("-q", "--quiet", is_flag=True, help="Only the summaries.")
@pass_app
def command(app: App, name: str, off: bool, quiet: bool, **options: Any) -> int:
    """Empty a host: applications' containers there move to other hosts, and none comes until it is taken back.

    Each starts on its new host first.  The host is marked even when something cannot move.
    """
    from lxcwrap.cli.draining import drain

    return drain(app, name, off=off, options=options, quiet=quiet)
