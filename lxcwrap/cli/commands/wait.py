"""``lxcwrap wait``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap wait job\n")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...]) -> int:
    """Wait until containers have ended, and print their exit codes."""
    from lxcwrap.actions import stop
    from lxcwrap.cli.several import report
    from lxcwrap.errors import LxcwrapError
    from lxcwrap.store.containers import resolve

    failed = 0
    for name in containers:
        try:
            print(stop.wait(app.store, resolve(app.store, name)), flush=True)
        except LxcwrapError as error:
            failed = 1
            report(error)
    return failed
