"""lxcwrap app-end lock."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@click.option("--who", default="", help="Who holds it, for others to read.")
@click.option("--why", default="", help="What for.")
@click.option("--wait", type=float, default=0, metavar="SECONDS", help="How long to wait for it.")
@click.option("--silence", type=float, default=0, metavar="SECONDS", help="End when standard input says nothing.")
@pass_app
def command(app: App, application: str, who: str, why: str, wait: float, silence: float) -> int:
    """Hold the application's lock until standard input ends; 75 when another has it."""
    from lxcwrap.actions.app_end import lock
    from lxcwrap.cli.documents import plain_json

    return lock.hold(app.paths, application, who, why, wait=wait, silence=silence, say=plain_json)
