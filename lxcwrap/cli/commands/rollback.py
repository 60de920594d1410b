"""lxcwrap rollback."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options
from lxcwrap.cli.deploying import deploying_options


@click.command(epilog="\b\nExamples:\n  lxcwrap rollback\n  lxcwrap rollback 12\n  lxcwrap rollback -p shop")
@click.argument("release", type=int, default=0, metavar="[RELEASE]")
@application_options
@deploying_options
@click.option("-q", "--quiet", is_flag=True, help="Only the summary.")
@pass_app
def command(app: App, release: int, quiet: bool, **options: Any) -> int:
    """Go back to an earlier release: to the one before this, or after a failed one to the last that was completed.

    Its images, settings and configs come back; secrets stay as they are now, and volumes too.  No hooks are run.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.deploying import roll_back

    return roll_back(app, files.name(options), release, options, quiet=quiet)
