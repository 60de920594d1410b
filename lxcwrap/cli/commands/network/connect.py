"""lxcwrap network connect."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused


@click.command(
    epilog="\b\nExamples:\n  lxcwrap network connect shop web\n  lxcwrap network connect --alias db shop db1"
)
@click.argument("network")
@click.argument("container")
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="A further name on the network.")
@click.option("--ip", "address", default="", metavar="IP", help="IPv4 address.", show_default=False)
@click.option("--ip6", "address6", default="", metavar="IP", help="IPv6 address.", show_default=False)
@refused("--driver-opt", reason="the bridge driver has none for containers")
@refused("--gw-priority", reason="the default route is that of the container's first network")
@refused("--link", "--link-local-ip", reason="use --alias")
@pass_app
def command(app: App, network: str, container: str, aliases: tuple[str, ...], address: str, address6: str) -> None:
    """Put a container on one more network, at once when it runs."""
    from lxcwrap.actions import joining, networks
    from lxcwrap.model import run_flags
    from lxcwrap.store import containers

    name = networks.resolve(app.store, network)
    wanted = run_flags.attachment(name, address, "", aliases, address6)
    joining.connect(app.store, name, containers.resolve(app.store, container), wanted)
