"""The far side of ``-H HOST cp FILE NAME:PATH``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from lxcwrap.cli.app import App, pass_app

if TYPE_CHECKING:
    from lxcwrap.actions.copy_paths import Side


@click.command(hidden=True)
@click.argument("name")
@click.argument("target")
@click.option("-a", "--archive", is_flag=True)
@click.option("-q", "--quiet", is_flag=True)
@click.option("--volume", is_flag=True)
@pass_app
def command(app: App, name: str, target: str, archive: bool, quiet: bool, volume: bool) -> None:
    """Copy the file ``name`` of a tar on standard input to NAME:PATH."""
    import sys

    from lxcwrap.actions.copy import container_side, volume_side
    from lxcwrap.archive.extract import extract
    from lxcwrap.cli import copying
    from lxcwrap.store import containers, staging

    def side(called: str) -> AbstractContextManager[Side]:
        if volume:
            return volume_side(app.store, called)
        return container_side(app.store, containers.resolve(app.store, called))

    with staging.directory(app.store.paths, "cp") as folder:
        extract(sys.stdin.buffer, folder)
        copying.run(
            side,
            "volume" if volume else "container",
            f"{folder}/{name}",
            target,
            archive=archive,
            follow=False,
            quiet=quiet,
        )
