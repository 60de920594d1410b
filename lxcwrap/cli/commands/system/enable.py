"""Write and enable the systemd unit that starts containers at boot."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(epilog="\b\nExamples:\n  lxcwrap system enable\n")
@pass_app
def command(app: App) -> None:
    """Write and enable the systemd unit that starts containers at boot."""
    from lxcwrap.actions import boot

    click.echo(boot.enable(app.store))
