"""Remove the systemd unit that starts containers at boot."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(epilog="\b\nExamples:\n  lxcwrap system disable\n")
@pass_app
def command(app: App) -> None:
    """Remove the systemd unit that starts containers at boot."""
    from lxcwrap.actions import boot

    click.echo(boot.disable(app.store))
