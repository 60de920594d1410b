"""Network namespaces, and the pair of devices that connects one with a bridge.

Source: network_namespaces(7), veth(4).  liblxc can make the pair too, but moves the inner device into the container's
namespace, waits for the kernel each time and takes it down again: 35 ms a container, where this takes 2 ms.
Imports little: containers' supervisors load it.
"""

from __future__ import annotations

import _socket as socket
import os
from collections.abc import Iterator
from contextlib import contextmanager

from lxcwrap.kernel import mount, netlink

INSIDE = "eth0"


class Pair:
    """What a container's device is: ``name`` is the host's end, on ``bridge``; addresses are IPv4 text."""

    __slots__ = ("address", "bridge", "gateway", "mac", "mtu", "name", "prefix")

    def __init__(self, name: str, bridge: str, mac: str, address: str, prefix: int, gateway: str, mtu: int) -> None:
        self.name, self.bridge, self.mac = name, bridge, mac
        self.address, self.prefix, self.gateway, self.mtu = address, prefix, gateway, mtu


@contextmanager
def entered(namespace: int) -> Iterator[None]:
    """The calling thread is in the network namespace of that descriptor."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        mount.setns(namespace, mount.CLONE_NEWNET)
        try:
            yield
        finally:
            mount.setns(own, mount.CLONE_NEWNET)
    finally:
        os.close(own)


def new_namespace() -> int:
    """A descriptor of a fresh network namespace with its loopback up; it goes when its last descriptor is closed."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        mount.unshare(mount.CLONE_NEWNET)
        try:
            made = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            with netlink.Socket() as route:
                netlink.set_up(route, socket.if_nametoindex("lo"))
            _loosen()
        finally:
            mount.setns(own, mount.CLONE_NEWNET)
    finally:
        os.close(own)
    return made


def _loosen() -> None:
    """Any user in the caller's network namespace may bind low ports and send ICMP echo requests, as in Docker's."""
    _write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    try:
        _write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")
    except OSError:  # the namespace's owner is a user namespace, which has fewer groups
        _write("/proc/sys/net/ipv4/ping_group_range", "0 65535")


def _write(path: str, text: str) -> None:
    with open(path, "w") as stream:
        stream.write(text)


def connect(pair: Pair, namespace: int) -> None:
    """Put the pair between the bridge and the namespace of that descriptor, addressed, up, with a default route.

    Raises OSError; then nothing is left of it.
    """
    with netlink.Socket() as route:
        bridge = socket.if_nametoindex(pair.bridge)
        netlink.create_veth(route, pair.name, bridge, pair.mtu, peer=INSIDE, peer_mac=pair.mac, namespace=namespace)
        try:
            _address(pair, namespace)
        except BaseException:
            netlink.delete_link(route, socket.if_nametoindex(pair.name))
            raise


def _address(pair: Pair, namespace: int) -> None:
    with entered(namespace), netlink.Socket() as route:
        netlink.set_up(route, socket.if_nametoindex("lo"))
        index = socket.if_nametoindex(INSIDE)
        netlink.add_address(route, index, socket.inet_aton(pair.address), pair.prefix)
        netlink.set_up(route, index)
        netlink.add_default_route(route, socket.inet_aton(pair.gateway))
        _loosen()


def plug(pair: Pair, namespace: int) -> None:
    """One more pair for a namespace that has some: its device is the next ``eth`` that is free, with no default route.

    Raises OSError; then nothing is left of it.
    """
    with netlink.Socket() as route:
        inside = free_name(namespace)
        bridge = socket.if_nametoindex(pair.bridge)
        netlink.create_veth(route, pair.name, bridge, pair.mtu, peer=inside, peer_mac=pair.mac, namespace=namespace)
        try:
            set_up(namespace, inside, pair.address, pair.prefix)
        except BaseException:
            netlink.delete_link(route, socket.if_nametoindex(pair.name))
            raise


def free_name(namespace: int) -> str:
    """The next ``eth`` that is free there."""
    with entered(namespace):
        taken = {name for _, name in socket.if_nameindex()}
    return next(f"eth{number}" for number in range(len(taken) + 1) if f"eth{number}" not in taken)


def set_up(namespace: int, name: str, address: str, prefix: int) -> None:
    """Give a link there its IPv4 address, and switch it on."""
    with entered(namespace), netlink.Socket() as own:
        index = socket.if_nametoindex(name)
        netlink.add_address(own, index, socket.inet_aton(address), prefix)
        netlink.set_up(own, index)


def unplug(namespace: int, address: str) -> None:
    """Remove the link there that has the IPv4 address, and with it the other end of its pair."""
    wanted = socket.inet_aton(address)
    with entered(namespace), netlink.Socket() as own:
        for found, _, index in netlink.all_addresses(own):
            if found == wanted:
                netlink.delete_link(own, index)


def drop(name: str) -> None:
    """Remove a pair by its end here, if it is there.

    The kernel takes a dead namespace's devices away a little after its last process, so a name may still be taken.
    """
    try:
        index = socket.if_nametoindex(name)
        with netlink.Socket() as route:
            netlink.delete_link(route, index)
    except OSError:
        pass  # it was not there, or went by itself meanwhile
