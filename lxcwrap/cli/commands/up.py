"""lxcwrap up."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options
from lxcwrap.cli.deploying import deploying_options

EXAMPLES = """\b
Examples:
  lxcwrap up -f compose.yaml -d
  lxcwrap up
"""


@click.command(epilog=EXAMPLES)
@application_options
@deploying_options
@click.option("-d", "--detach", is_flag=True, help="Do not show what the containers print.")
@click.option("-q", "--quiet", is_flag=True, help="Only the summary.")
@pass_app
def command(app: App, detach: bool, quiet: bool, **options: Any) -> int:
    """Bring an application up on this host, hosts of the inventory left aside: what deploy does, on one host.

    Without -d what its containers print is shown afterwards.  Ctrl-C then ends that, and stops no container: lxcwrap
    down does.
    """
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.deploying import carry_out, wish
    from lxcwrap.cli.following import follow

    application = files.read(options)
    code = carry_out(app, wish(application, "up", options), quiet=quiet, local=True)
    return code or (0 if detach else follow(app, application.name, local=True))
