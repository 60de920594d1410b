"""lxcwrap network disconnect."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused


@click.command(epilog="\b\nExample:\n  lxcwrap network disconnect shop web")
@click.argument("network")
@click.argument("container")
@refused("-f", "--force", reason="a container that is gone holds no network", value=False)
@pass_app
def command(app: App, network: str, container: str) -> None:
    """Take a container off a network, at once when it runs."""
    from lxcwrap.actions import joining
    from lxcwrap.store import containers

    joining.disconnect(app.store, network, containers.resolve(app.store, container))
