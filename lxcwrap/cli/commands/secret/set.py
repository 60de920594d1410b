"""lxcwrap secret set."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options

EXAMPLES = """\b
Examples:
  pass show db | lxcwrap secret set db_password
  lxcwrap secret set -p shop tls_key server.key
"""


@click.command(epilog=EXAMPLES)
@click.argument("key")
@click.argument("file", default="-", metavar="[FILE|-]")
@application_options
@pass_app
def command(app: App, key: str, file: str, **options: Any) -> int:
    """Bring a secret to all hosts, from FILE or standard input: for those that a Compose file calls external.

    Containers get it with the next deployment; lxcwrap secret rotate does both.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.secrets import content, put

    return put(app, files.name(options), key, content(file))
