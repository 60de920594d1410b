"""lxcwrap template show."""

from __future__ import annotations

import click


@click.command(epilog="\b\nExample:\n  lxcwrap template show debian >/etc/lxcwrap/templates/my-debian.yaml")
@click.argument("name")
def command(name: str) -> None:
    """Print a definition as it was written, comments included."""
    from lxcwrap.actions import template as templates

    found = templates.find(name)
    text = templates.text(found)
    click.echo(f"# {found.path}")
    click.echo(text, nl=False)
