"""What host ls and host check ask of another machine."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(hidden=True)
@pass_app
def command(app: App) -> None:
    """Print how this machine is, as JSON."""
    import json

    from lxcwrap.actions import host_facts

    click.echo(json.dumps(host_facts.gather(app.paths).to_json()))
