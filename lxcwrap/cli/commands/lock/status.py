"""lxcwrap lock status."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options


@click.command(epilog="\b\nExamples:\n  lxcwrap lock status\n  lxcwrap lock status -p shop")
@application_options
@pass_app
def command(app: App, **options: Any) -> int:
    """Say who is changing an application, since when and why, host by host.  The exit code is 1 when somebody is."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.locking import status

    return status(app, files.name(options))
