"""lxcwrap secret ls."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options

COLUMNS = (("HOST", "Host"), ("KEY", "Key"), ("VERSION", "Version"))


@click.command(epilog="\b\nExamples:\n  lxcwrap secret ls\n  lxcwrap secret ls -p shop --format json")
@application_options
@click.option("--format", "template", default="", metavar="TEMPLATE", help="table, json or a Go template.")
@pass_app
def command(app: App, template: str, **options: Any) -> int:
    """List an application's secrets and configs on each host, by name and version: never their content."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.output import show
    from lxcwrap.cli.secrets import listed

    rows, problems = listed(app, files.name(options))
    show(rows, COLUMNS, template=template)
    return problems
