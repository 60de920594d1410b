"""lxcwrap app-end drained."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("wish", required=False, type=click.Choice(["on", "off"]))
@pass_app
def command(app: App, wish: str | None) -> None:
    """Say whether deployments are to leave this host alone, or change it."""
    from lxcwrap.actions.app_end import observe
    from lxcwrap.cli.documents import plain_json
    from lxcwrap.store import settings

    if wish:
        settings.put(app.store, observe.DRAINED, wish)
    plain_json({"drained": settings.get(app.store, observe.DRAINED) == "on"})
