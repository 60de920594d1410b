"""lxcwrap network create."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused

EXAMPLES = """\b
Examples:
  lxcwrap network create shop
  lxcwrap network create --subnet 10.50.0.0/24 --internal backend
  lxcwrap network create --ipv6 --subnet fd12:3456:789a::/64 dual
  lxcwrap network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 lan
  lxcwrap run -d --network shop --name db busybox sleep 1000
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="NETWORK")
@click.option("--attachable", is_flag=True, hidden=True)  # every network here is
@click.option("--aux-address", "reserved", multiple=True, metavar="NAME=IP", help="Never give a container this.")
@click.option("-d", "--driver", default="bridge", metavar="NAME", help="bridge, macvlan or ipvlan.", show_default=True)
@click.option("--gateway", multiple=True, metavar="IP", help="Where the way out is [default: the first address].")
@click.option("--internal", is_flag=True, help="No way out of the network, and none in.")
@click.option("--ip-range", multiple=True, metavar="SUBNET", help="Give containers addresses of this part only.")
@click.option("--ipv6", is_flag=True, help="IPv6 too.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label.")
@click.option("-o", "--opt", "options", multiple=True, metavar="NAME=VALUE", help="parent=eth0, macvlan_mode=bridge, …")
@click.option("--subnet", multiple=True, metavar="SUBNET", help="Its addresses, IPv4 and IPv6 [default: free ones].")
@refused("--config-from", reason="networks are made one by one")
@refused("--config-only", reason="networks are made one by one", value=False)
@refused("--ingress", reason="there is no swarm", value=False)
@refused("--ipam-driver", "--ipam-opt", reason="addresses are chosen by lxcwrap")
@refused("--ipv4", reason="every network has IPv4", value=False)
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
    ipv6: bool,
    ip_range: tuple[str, ...],
    labels: tuple[str, ...],
    options: tuple[str, ...],
    subnet: tuple[str, ...],
) -> None:
    """Make a network: its containers reach each other, by name too, and those of other networks do not."""
    from lxcwrap.actions import own_networks
    from lxcwrap.actions.volumes import pairs
    from lxcwrap.model import network_flags

    wanted = network_flags.definition(
        name,
        driver,
        subnets=subnet,
        gateways=gateway,
        ranges=ip_range,
        reserved=pairs(reserved, "--aux-address"),
        internal=internal,
        ipv6=ipv6,
        labels=pairs(labels, "label"),
        options=pairs(options, "option"),
    )
    click.echo(own_networks.create(app.store, wanted))
