"""lxcwrap lock release."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options


@click.command(epilog="\b\nExamples:\n  lxcwrap lock release\n  lxcwrap lock release -p shop")
@application_options
@pass_app
def command(app: App, **options: Any) -> int:
    """End a lock that is held: whoever is changing the application stops before the next step.

    A lock frees itself when its holder dies or loses the connection: this is for one that hangs.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.locking import release

    return release(app, files.name(options))
