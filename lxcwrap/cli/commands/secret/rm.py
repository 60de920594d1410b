"""lxcwrap secret rm."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options


@click.command(epilog="\b\nExamples:\n  lxcwrap secret rm db_password\n  lxcwrap secret rm -p shop tls_key")
@click.argument("key")
@application_options
@pass_app
def command(app: App, key: str, **options: Any) -> int:
    """Remove a secret from all hosts.  Containers that have it keep it until they end."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.secrets import remove

    return remove(app, files.name(options), key)
