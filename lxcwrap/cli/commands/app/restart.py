"""lxcwrap app restart."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options


@click.command(epilog="\b\nExamples:\n  lxcwrap app restart\n  lxcwrap app restart web")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@application_options
@pass_app
def command(app: App, services: tuple[str, ...], **options: Any) -> int:
    """Restart an application's containers one after the other, each once the one before it is healthy again."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.replicas import restart

    return restart(app, files.name(options), services)
