"""The container's device on a network of any driver: liblxc's items of it, and the same made while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxcwrap.kernel import veth
from lxcwrap.network import plan as plans

if TYPE_CHECKING:
    from lxcwrap.network.several import Link


def items(link: Link, number: int, *, gateway: bool, hairpin: bool) -> tuple[tuple[str, str], ...]:
    """liblxc's items of the container's device of that number; ``gateway``: its default route goes by it."""
    found = plans.veth_items(link.definition, link.pair, link.address, link.mac)
    if hairpin:
        found += (plans.hairpin_item(link.pair),)
    return tuple(
        (key.replace(".0.", f".{number}.", 1), f"eth{number}" if key.endswith(".name") else value)
        for key, value in found
        if gateway or not key.endswith(".gateway")
    )


def plug(link: Link, namespace: int, *, hairpin: bool) -> None:
    """Make it in the namespace of that descriptor, with no default route.  Raises OSError; then nothing is left."""
    definition = link.definition
    veth.drop(link.pair)
    pair = veth.Pair(link.pair, definition.bridge, link.mac, link.address, definition.prefix, "", definition.mtu)
    veth.plug(pair, namespace)
    if hairpin:
        with open(plans.hairpin_file(link.pair), "w", encoding="ascii") as stream:
            stream.write("1")
