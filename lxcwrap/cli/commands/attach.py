"""``lxcwrap attach``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.terminal import check_input, ended_or_left

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap attach web\n  lxcwrap attach --no-stdin --sig-proxy=false web\n")
@click.option("--no-stdin", is_flag=True, help="Do not attach stdin.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to the container.")
@click.option("--detach-keys", default="", metavar="KEYS", help="Keys that detach [default: ctrl-p,ctrl-q].")
@click.argument("container")
@pass_app
def command(app: App, container: str, no_stdin: bool, sig_proxy: bool, detach_keys: str) -> int:
    """Connect the terminal with a running container."""
    from lxcwrap.actions import attach
    from lxcwrap.runtime import detach
    from lxcwrap.store.containers import resolve

    found = resolve(app.store, container)
    keys = detach.parse(detach_keys or detach.DEFAULT)
    check_input(stdin=not no_stdin and found.config.interactive, tty=found.config.tty)
    return ended_or_left(attach.attach(app.store, found, stdin=not no_stdin, keys=keys, proxy=sig_proxy))
