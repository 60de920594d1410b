"""``lxcwrap create``."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.container_options import asked, container_options

group = "container"


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Examples:
  lxcwrap create --name web -p 8080:80 me/web
  lxcwrap start web
""",
)
@container_options
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_app
def command(app: App, image: str, command: tuple[str, ...], **options: Any) -> None:
    """Make a container without starting it, and print its ID."""
    from lxcwrap.actions import run
    from lxcwrap.cli.making import make

    config = asked(options, image, command, detached=not options["attach"] and not options["interactive"])
    run.check_cidfile(config.cidfile)
    print(make(app, config, options).id)
