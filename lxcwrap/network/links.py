"""The container's device on a network of any driver: liblxc's items of it, and the same made while it runs.

A pair of devices leads to a bridge; macvlan and ipvlan put the container itself where an interface of the host is.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lxcwrap.errors import Conflict, NotFound, Unsupported
from lxcwrap.kernel import netlink, veth
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.network import plan as plans

if TYPE_CHECKING:
    from lxcwrap.network.several import Link

Items = tuple[tuple[str, str], ...]

_MODES = {  # linux/if_link.h: enum macvlan_mode, enum ipvlan_mode
    "macvlan": {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8},
    "ipvlan": {"l2": 0, "l3": 1, "l3s": 2},
}


def items(link: Link, number: int, *, gateway: bool, hairpin: bool) -> Items:
    """liblxc's items of the container's device of that number; ``gateway``: its default route goes by it."""
    if link.definition.driver != "bridge":
        found = _child_items(link)
    else:
        found = plans.veth_items(link.definition, link.pair, link.address, link.mac)
        if hairpin:
            found += (plans.hairpin_item(link.pair),)
    return tuple(
        (key.replace(".0.", f".{number}.", 1), f"eth{number}" if key.endswith(".name") else value)
        for key, value in found
        if gateway or not key.endswith(".gateway")
    )


def _child_items(link: Link) -> Items:
    definition = link.definition
    found: Items = (
        ("lxc.net.0.type", definition.driver),
        (f"lxc.net.0.{definition.driver}.mode", definition.mode),
        ("lxc.net.0.link", definition.parent),
        ("lxc.net.0.name", "eth0"),
        ("lxc.net.0.flags", "up"),
        ("lxc.net.0.ipv4.address", f"{link.address}/{definition.prefix}"),
        ("lxc.net.0.ipv4.gateway", definition.gateway or "dev"),
    )
    if definition.mtu:
        found += (("lxc.net.0.mtu", str(definition.mtu)),)
    return found if definition.driver == "ipvlan" else (*found, ("lxc.net.0.hwaddr", link.mac))


def plug(link: Link, namespace: int, *, hairpin: bool) -> None:
    """Make it in the namespace of that descriptor, with no default route.  Raises OSError; then nothing is left."""
    definition = link.definition
    if definition.driver != "bridge":
        _plug_child(link, namespace)
        return
    veth.drop(link.pair)
    pair = veth.Pair(link.pair, definition.bridge, link.mac, link.address, definition.prefix, "", definition.mtu)
    veth.plug(pair, namespace)
    if hairpin:
        open_hairpins((link.pair,))


def open_hairpins(pairs: Iterable[str]) -> None:
    """Let what is published be reached from inside (see ``plan.hairpin_item``), by those pairs that are there."""
    for pair in pairs:
        if os.path.exists(plans.hairpin_file(pair)):
            with open(plans.hairpin_file(pair), "w", encoding="ascii") as stream:
                stream.write("1")


def _plug_child(link: Link, namespace: int) -> None:
    definition, name = link.definition, veth.free_name(namespace)
    _make_child(definition, name, link.mac, namespace)
    try:
        veth.set_up(namespace, name, link.address, definition.prefix)
    except BaseException:
        with veth.entered(namespace), netlink.Socket() as own:
            netlink.delete_link(own, socket.if_nametoindex(name))
        raise


def _make_child(definition: NetworkDefinition, name: str, mac: str, namespace: int) -> None:
    mac = mac if definition.driver == "macvlan" else ""
    mode, mtu = _MODES[definition.driver][definition.mode], definition.mtu
    with netlink.Socket() as route:
        parent = socket.if_nametoindex(definition.parent)
        netlink.create_child(route, definition.driver, mode, parent, name=name, mac=mac, mtu=mtu, namespace=namespace)


def check_parent(definition: NetworkDefinition, exit_code: int = 125) -> None:
    """Raises NotFound."""
    if not os.path.exists(f"/sys/class/net/{definition.parent}"):
        raise NotFound(
            f"network {definition.name}: this host has no interface {definition.parent}",
            hint="'ip link' lists them; -o parent= names one",
            exit_code=exit_code,
        )


def prove(definition: NetworkDefinition) -> None:
    """See whether the kernel can, by trying.  Raises NotFound, Unsupported or Conflict, which say why it cannot."""
    check_parent(definition, exit_code=1)
    namespace = veth.new_namespace()
    try:
        _make_child(definition, "eth0", "02:42:00:00:00:01", namespace)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Unsupported(
                f"network driver {definition.driver}: this kernel does not have it "
                f"(it was built without CONFIG_{definition.driver.upper()}, or its module is not there)"
            ) from None
        raise Conflict(
            f"network driver {definition.driver}, mode {definition.mode}: "
            f"{definition.parent} does not take it: {error.strerror}",
            hint="another driver or mode may use the interface already",
        ) from None
    finally:
        os.close(namespace)
