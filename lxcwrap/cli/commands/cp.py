"""Copy files between a container and the host."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

group = "container"

EXAMPLES = """\b
Examples:
  lxcwrap cp web:/etc/nginx/nginx.conf .
  lxcwrap cp site/. web:/usr/share/nginx/html
  lxcwrap cp web:/var/log - | tar tf -
  tar cf - site | lxcwrap cp - web:/srv
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="DESTINATION")
@click.option("-a", "--archive", is_flag=True, help="Keep the owners' ids.")
@click.option("-L", "--follow-link", is_flag=True, help="Copy what a link in SOURCE leads to, not the link.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on success.")
@pass_app
def command(app: App, source: str, target: str, archive: bool, follow_link: bool, quiet: bool) -> None:
    """Copy files between a container, running or not, and the host.

    One of SOURCE and DESTINATION is CONTAINER:PATH, the other a local path, or - for a tar stream.  A directory
    is put into a directory that is there; SOURCE/. copies what is in it.  Write a local path with a colon as ./PATH.
    """
    from lxcwrap.actions.copy import container_side
    from lxcwrap.cli import copying
    from lxcwrap.store import containers

    copying.run(
        lambda name: container_side(app.store, containers.resolve(app.store, name)),
        "container",
        source,
        target,
        archive=archive,
        follow=follow_link,
        quiet=quiet,
    )
