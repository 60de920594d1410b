"""lxcwrap network create."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused
from lxcwrap.errors import Unsupported, UsageError

EXAMPLES = """\b
Examples:
  lxcwrap network create shop
  lxcwrap network create --subnet 10.50.0.0/24 --internal backend
  lxcwrap run -d --network shop --name db busybox sleep 1000
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="NETWORK")
@click.option("--attachable", is_flag=True, hidden=True)  # every network here is
@click.option("--aux-address", "reserved", multiple=True, metavar="NAME=IP", help="Never give a container this.")
@click.option("-d", "--driver", default="bridge", metavar="NAME", help="Only 'bridge'.", show_default=True)
@click.option("--gateway", multiple=True, metavar="IP", help="The host's address [default: the first].")
@click.option("--internal", is_flag=True, help="No way out of the network, and none in.")
@click.option("--ip-range", multiple=True, metavar="SUBNET", help="Give containers addresses of this part only.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label.")
@click.option("-o", "--opt", "options", multiple=True, metavar="NAME=VALUE", help="com.docker.network.driver.mtu, …")
@click.option("--subnet", multiple=True, metavar="SUBNET", help="Its addresses [default: a free /24].")
@refused("--config-from", reason="networks are made one by one")
@refused("--config-only", reason="networks are made one by one", value=False)
@refused("--ingress", reason="there is no swarm", value=False)
@refused("--ipam-driver", "--ipam-opt", reason="addresses are chosen by lxcwrap")
@refused("--ipv4", reason="every network has IPv4", value=False)
@refused("--ipv6", reason="networks are IPv4 only", value=False)
@refused("--scope", reason="networks are of one host")
@pass_app
def command(
    app: App,
    name: str,
    attachable: bool,
    reserved: tuple[str, ...],
    driver: str,
    gateway: tuple[str, ...],
    internal: bool,
    ip_range: tuple[str, ...],
    labels: tuple[str, ...],
    options: tuple[str, ...],
    subnet: tuple[str, ...],
) -> None:
    """Make a network: its containers reach each other, by name too, and those of other networks do not."""
    from lxcwrap.actions import own_networks
    from lxcwrap.actions.volumes import pairs

    if driver != "bridge":
        raise Unsupported(f"network driver {driver!r:.40} is not supported", hint="the only driver is bridge")
    for flag, values in (("--subnet", subnet), ("--gateway", gateway), ("--ip-range", ip_range)):
        if len(values) > 1:
            raise UsageError(f"{flag} is given twice: a network has one subnet", exit_code=1)
    click.echo(
        own_networks.create(
            app.store,
            name,
            subnet="".join(subnet),
            gateway="".join(gateway),
            ip_range="".join(ip_range),
            reserved=pairs(reserved, "--aux-address"),
            internal=internal,
            labels=pairs(labels, "label"),
            options=pairs(options, "option"),
        )
    )
