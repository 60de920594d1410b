"""lxcwrap secret rotate."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options
from lxcwrap.cli.deploying import deploying_options

EXAMPLES = """\b
Examples:
  pwgen 32 1 | lxcwrap secret rotate db_password
  lxcwrap secret rotate tls_key server.key
"""


@click.command(epilog=EXAMPLES)
@click.argument("key")
@click.argument("file", default="-", metavar="[FILE|-]")
@application_options
@deploying_options
@click.option("-q", "--quiet", is_flag=True, help="Only the summary.")
@pass_app
def command(app: App, key: str, file: str, quiet: bool, **options: Any) -> int:
    """Give a secret a new content, from FILE or standard input, and replace the containers that use it, one by one.

    Everything else stays as the last completed release has it.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.secrets import content, rotate

    return rotate(app, files.name(options), key, content(file), options, quiet=quiet)
