"""lxcwrap down."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options


@click.command(epilog="\b\nExamples:\n  lxcwrap down\n  lxcwrap down -p shop --volumes")
@application_options
@click.option("-v", "--volumes", is_flag=True, help="Remove its named volumes too, with all that is in them.")
@click.option("-q", "--quiet", is_flag=True, help="Only the summary.")
@pass_app
def command(app: App, volumes: bool, quiet: bool, **options: Any) -> int:
    """Stop and remove an application's containers, its networks and its secrets, on all hosts.

    What is external stays, and so do images and the records of its releases: lxcwrap rollback brings it back.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.taking_down import take_down

    return take_down(app, files.name(options), volumes=volumes, quiet=quiet)
