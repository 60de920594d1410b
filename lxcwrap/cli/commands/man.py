"""Write the manual pages."""

from __future__ import annotations

import click

EXAMPLES = """\b
Examples:
  lxcwrap man /usr/local/share/man/man1
"""


@click.command(epilog=EXAMPLES, hidden=True)
@click.argument("directory", metavar="DIR")
@click.pass_context
def command(ctx: click.Context, directory: str) -> None:
    """Write a manual page for each command into DIR, made if missing; the installer does it."""
    import os

    from lxcwrap.cli import manual

    root = ctx.find_root().command
    assert isinstance(root, click.Group)
    os.makedirs(directory, exist_ok=True)
    click.echo(f"{len(manual.write(root, directory))} pages in {directory}")
