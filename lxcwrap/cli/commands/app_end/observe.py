"""lxcwrap app-end observe."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@click.option("--image", "images", multiple=True, metavar="REF", help="An image whose ID is asked for.")
@pass_app
def command(app: App, application: str, images: tuple[str, ...]) -> None:
    """Print what this host has of an application, as JSON."""
    from lxcwrap.actions.app_end import observe, take_over
    from lxcwrap.cli.documents import plain_json
    from lxcwrap.errors import LxcwrapError

    try:
        take_over.finish_interrupted(app.store)
    except LxcwrapError as error:  # the host is as it is
        click.echo(f"lxcwrap: {error.message}", err=True)
    plain_json(observe.observe(app.store, application, images).to_json())
