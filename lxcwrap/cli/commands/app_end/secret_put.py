"""lxcwrap app-end secret-put."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@click.argument("key")
@click.option("--config", is_flag=True, help="A config: kept on the disk.")
@click.option("--version", default="", metavar="VERSION", help="What a new content's version is called.")
@click.option("--check", is_flag=True, help="Keep nothing; say the present version if it has this content.")
@pass_app
def command(app: App, application: str, key: str, config: bool, version: str, check: bool) -> None:
    """Keep what comes on standard input; print its version."""
    import sys

    from lxcwrap.actions.app_end import contents
    from lxcwrap.cli.documents import plain_json

    content = sys.stdin.buffer.read(contents.LIMIT + 1)
    if check:
        found = contents.compare(app.paths, application, key, content, config=config)
    else:
        found = contents.put(app.paths, application, key, content, config=config, version=version)
    plain_json({"version": found})
