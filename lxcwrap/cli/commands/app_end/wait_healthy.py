"""lxcwrap app-end wait-healthy."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("container")
@click.option("--timeout", type=float, default=60, metavar="SECONDS", help="How long to wait at most.")
@click.option("--monitor", type=float, default=5, metavar="SECONDS", help="How long one without a check has to be up.")
@pass_app
def command(app: App, container: str, timeout: float, monitor: float) -> int:
    """Wait until the container is fit to serve; 1, with the reason, when it is not."""
    from lxcwrap.actions.app_end import healthy
    from lxcwrap.cli.documents import plain_json
    from lxcwrap.store import containers

    failure = healthy.wait(app.store, containers.resolve(app.store, container), timeout, monitor)
    plain_json(failure or {"healthy": True})
    return int(failure is not None)
