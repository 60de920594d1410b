"""``lxcwrap wait``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap wait job\n  lxcwrap wait --condition healthy web\n")
@click.option("--condition", default="not-running", metavar="WHAT", help="not-running, next-exit, removed or healthy.")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...], condition: str) -> int:
    """Wait until containers have ended (or what --condition says), and print their exit codes."""
    from lxcwrap.actions import wait
    from lxcwrap.cli.several import report
    from lxcwrap.errors import LxcwrapError, UsageError
    from lxcwrap.store.containers import resolve

    if condition not in wait.CONDITIONS:
        raise UsageError(f"--condition {condition!r:.40}: choose {', '.join(wait.CONDITIONS)}")
    failed = 0
    for name in containers:
        try:
            print(wait.wait(app.store, resolve(app.store, name), condition), flush=True)
        except LxcwrapError as error:
            failed = 1
            report(error)
    return failed
