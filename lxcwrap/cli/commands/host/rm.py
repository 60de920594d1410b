"""lxcwrap host rm."""

from __future__ import annotations

import click


@click.command(epilog="\b\nExample:\n  lxcwrap host rm web1")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def command(names: tuple[str, ...]) -> None:
    """Forget hosts and their keys.  What runs there goes on."""
    from lxcwrap.remote import hosts, known

    for name in names:
        host = hosts.read().find(name)
        hosts.remove(name)
        if host:
            known.forget(known.name_of(host.address, host.port or 22))
        click.echo(name)
