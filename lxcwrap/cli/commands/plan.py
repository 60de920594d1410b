"""lxcwrap plan."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options
from lxcwrap.cli.deploying import deploying_options

EXAMPLES = """\b
Examples:
  lxcwrap plan
  lxcwrap plan shop.yaml --detailed-exitcode
  lxcwrap plan --format json
"""


@click.command(epilog=EXAMPLES)
@click.argument("file", default="", metavar="[FILE]")
@application_options
@deploying_options
@click.option("--format", "form", default="text", type=click.Choice(["text", "json"]), help="How it is shown.")
@click.option("--detailed-exitcode", is_flag=True, help="2 when deploy would change something, 0 when not.")
@pass_app
def command(app: App, file: str, form: str, detailed_exitcode: bool, **options: Any) -> int:
    """Show what deploy would change, where, in which order and why.  Changes nothing and builds nothing.

    The exit code is 0, or 1 when it cannot be carried out, for the reasons that it names.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.deploying import show_plan, wish

    application = files.read(options, file)
    return show_plan(app, wish(application, "plan", options), form=form, detailed=detailed_exitcode)
