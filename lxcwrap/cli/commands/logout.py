"""Log out from a registry."""

from __future__ import annotations

import click

EXAMPLES = """\b
Examples:
  lxcwrap logout
  lxcwrap logout registry.example.com:5000
"""


@click.command(epilog=EXAMPLES)
@click.argument("server", default="")
def command(server: str) -> None:
    """Forget the credentials for a registry (Docker Hub without SERVER)."""
    from lxcwrap.actions import login

    domain = login.domain_of(server)
    removed = login.logout(server)
    click.echo(f"Removing login credentials for {domain}" if removed else f"Not logged in to {domain}")
    left = login.stored(domain)
    if left:
        click.echo("WARNING! docker login has stored credentials for it too: docker logout removes them.", err=True)
