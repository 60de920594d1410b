"""Copy files between a volume and the host."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

EXAMPLES = """\b
Examples:
  lxcwrap volume cp site/. pages:/
  lxcwrap volume cp pages:/index.html .
  lxcwrap volume cp pages:/ - | tar tf -
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="DESTINATION")
@click.option("-a", "--archive", is_flag=True, help="Keep the owners' ids.")
@click.option("-L", "--follow-link", is_flag=True, help="Copy what a link in SOURCE leads to, not the link.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on success.")
@pass_app
def command(app: App, source: str, target: str, archive: bool, follow_link: bool, quiet: bool) -> None:
    """Copy files between a volume and the host, as cp does with containers.

    One of SOURCE and DESTINATION is VOLUME:PATH, the other a local path, or - for a tar stream.
    """
    from lxcwrap.actions.copy import volume_side
    from lxcwrap.cli import copying

    copying.run(
        lambda name: volume_side(app.store, name),
        "volume",
        source,
        target,
        archive=archive,
        follow=follow_link,
        quiet=quiet,
    )
