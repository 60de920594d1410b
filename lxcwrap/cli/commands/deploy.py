"""lxcwrap deploy."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options
from lxcwrap.cli.deploying import deploying_options

EXAMPLES = """\b
Examples:
  lxcwrap deploy
  lxcwrap deploy shop.yaml
  lxcwrap deploy -f compose.yaml -f compose.production.yaml
  lxcwrap -H zone=a deploy --skip-unreachable
"""


@click.command(epilog=EXAMPLES)
@click.argument("file", default="", metavar="[FILE]")
@application_options
@deploying_options
@click.option("-q", "--quiet", is_flag=True, help="Only the summary.")
@pass_app
def command(app: App, file: str, quiet: bool, **options: Any) -> int:
    """Bring an application to its hosts, or what has changed of it: nothing else is touched.

    Images that the file says how to build are built here.  Containers are replaced in batches as update_config says; a
    new one gets its service's traffic once it is healthy.  The exit code is 0 when all is as the file says, 1 when
    something failed, 75 when somebody else is changing the application, 130 after Ctrl-C, 255 for a host that does
    not answer.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.deploying import carry_out, wish

    application = files.read(options, file)
    return carry_out(app, wish(application, f"deploy {file}".strip(), options), quiet=quiet)
