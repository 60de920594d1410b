"""``lxcwrap start``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.several import each
from lxcwrap.cli.terminal import check_input, ended_or_left

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap start web\n  lxcwrap start -ai shell\n")
@click.option("-a", "--attach", is_flag=True, help="Attach stdout and stderr, and pass signals on.")
@click.option("-i", "--interactive", is_flag=True, help="Attach stdin too.")
@click.option("--detach-keys", default="", metavar="KEYS", help="Keys that detach [default: ctrl-p,ctrl-q].")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...], attach: bool, interactive: bool, detach_keys: str) -> int:
    """Start containers that do not run."""
    from lxcwrap.actions import start
    from lxcwrap.errors import RuntimeFailure, UsageError
    from lxcwrap.store.containers import resolve

    if not attach and not interactive:
        return each(containers, lambda name: start.start(app.store, resolve(app.store, name)))
    if len(containers) > 1:
        raise UsageError("you cannot start and attach several containers at once", exit_code=1)
    from lxcwrap.actions import attach as attaching
    from lxcwrap.runtime import detach

    keys = detach.parse(detach_keys or detach.DEFAULT)
    container = resolve(app.store, containers[0])
    check_input(stdin=interactive, tty=container.config.tty)
    try:
        return ended_or_left(attaching.start(app.store, container, stdin=interactive, keys=keys))
    except RuntimeFailure as error:
        error.exit_code = 1  # 125, 126 and 127 are for run
        raise
