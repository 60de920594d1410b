"""Run a container in the foreground as a service of systemd's."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(epilog="\b\nExamples:\n  lxcwrap system serve web\n")
@click.argument("container")
@pass_app
def command(app: App, container: str) -> int:
    """Run a container in the foreground as a service of systemd's; SIGTERM stops it.

    The units of lxcwrap generate systemd call it.
    """
    from lxcwrap.actions import serve
    from lxcwrap.store.containers import resolve

    return serve.serve(app.store, resolve(app.store, container))
