"""lxcwrap port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lxcwrap.cli.app import App, pass_app

if TYPE_CHECKING:
    from lxcwrap.model.container import Port

group = "container"


@click.command(epilog="\b\nExamples:\n  lxcwrap port web\n  lxcwrap port web 80/tcp")
@click.argument("container")
@click.argument("private_port", metavar="[PRIVATE_PORT[/PROTO]]", required=False, default="")
@pass_app
def command(app: App, container: str, private_port: str) -> None:
    """List a container's published ports, or where one of them is published."""
    from lxcwrap.actions import ports as holders
    from lxcwrap.errors import NotFound
    from lxcwrap.network import publish
    from lxcwrap.store import containers

    found = containers.resolve(app.store, container)
    holders.release_dead(app.store)
    ports = publish.published(app.store, found.id)
    if not private_port:
        for port in ports:
            click.echo(f"{port.container_port}/{port.protocol} -> {_shown(port)}")
        return
    number, protocol = _parse(private_port)
    chosen = [port for port in ports if (port.container_port, port.protocol) == (number, protocol)]
    if not chosen:
        raise NotFound(f"no public port '{number}/{protocol}' published for {container}")
    for port in chosen:
        click.echo(_shown(port))


def _shown(port: Port) -> str:
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{host}:{port.host_port}"


def _parse(text: str) -> tuple[int, str]:
    from lxcwrap.errors import UsageError

    number, _, protocol = text.partition("/")
    if not number.isascii() or not number.isdigit() or protocol not in ("", "tcp", "udp", "sctp"):
        raise UsageError(f"{text!r:.40} is not a port such as 80 or 53/udp", exit_code=1)
    return int(number), protocol or "tcp"
