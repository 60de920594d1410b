"""Give an image another name."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

group = "image"


@click.command(epilog="\b\nExamples:\n  lxcwrap tag app:latest localhost:5000/app:1.2\n")
@click.argument("source", metavar="SOURCE_IMAGE[:TAG]")
@click.argument("target", metavar="TARGET_IMAGE[:TAG]")
@pass_app
def command(app: App, source: str, target: str) -> None:
    """Give an image another name; both mean the same image."""
    from lxcwrap.actions import images

    images.tag(app.store, source, target)
