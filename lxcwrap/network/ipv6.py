"""IPv6 on the bridge of a network that has it, and the host's forwarding of it."""

from __future__ import annotations

import os
import socket

from lxcwrap.errors import Unsupported
from lxcwrap.kernel import netlink
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.network import default

_CONF = "/proc/sys/net/ipv6/conf"
# accept_dad: as long as it asks whether its link-local address is taken, the bridge finds no neighbours.
_BRIDGE = (
    ("disable_ipv6", "0"), ("accept_ra", "0"), ("autoconf", "0"), ("accept_redirects", "0"), ("accept_dad", "0"),
)  # fmt: skip


def check() -> None:
    """Raises Unsupported on a kernel without IPv6."""
    if not os.path.isdir(f"{_CONF}/all"):
        raise Unsupported("this host's kernel has no IPv6, or it is switched off", hint="leave --ipv6 out")


def prepare(route: netlink.Socket, index: int, definition: NetworkDefinition) -> None:
    """Its gateway on the bridge, which listens to no router advertisements: containers could send them."""
    check()
    for key, value in _BRIDGE:
        default.write_sysctl(f"{_CONF}/{definition.bridge}/{key}", value)
    wanted = (socket.inet_pton(socket.AF_INET6, definition.gateway6), definition.prefix6)
    for address, prefix in netlink.addresses(route, index, socket.AF_INET6):
        if (address, prefix) != wanted:
            netlink.delete_address(route, index, address, prefix)
    netlink.add_address(route, index, *wanted)
    if not definition.internal:
        _forward(_interfaces(route, index))


def is_in_place(route: netlink.Socket, index: int, definition: NetworkDefinition) -> bool:
    wanted = (socket.inet_pton(socket.AF_INET6, definition.gateway6), definition.prefix6)
    if wanted not in netlink.addresses(route, index, socket.AF_INET6):
        return False
    return definition.internal or all(map(_forwards, _interfaces(route, index)))


def _interfaces(route: netlink.Socket, bridge: int) -> list[str]:
    """The bridge, and those by which IPv6 reaches this host: they have an address that is not link-local."""
    found = {index for _, _, index in netlink.all_addresses(route, socket.AF_INET6)}
    names = {socket.if_indextoname(index) for index in found | {bridge}}
    return sorted(names - {"lo"})


def _has_own_switch() -> bool:
    """From kernel 6.17 an interface can forward while it stays a host, which listens to router advertisements."""
    return os.path.exists(f"{_CONF}/all/force_forwarding")


def _forwards(name: str) -> bool:
    key = f"{name}/force_forwarding" if _has_own_switch() else "all/forwarding"
    return _read("all/forwarding") == "1" or _read(key) == "1"


def _forward(names: list[str]) -> None:
    if _read("all/forwarding") == "1":
        return
    if _has_own_switch():
        for name in names:
            default.write_sysctl(f"{_CONF}/{name}/force_forwarding", "1")
        return
    forward_all()


def forward_all() -> None:
    """The switch of older kernels makes every interface a router's; those that learn their routes go on doing so."""
    for name in os.listdir(_CONF):
        if name not in ("all", "default", "lo") and _read(f"{name}/accept_ra") == "1":
            default.write_sysctl(f"{_CONF}/{name}/accept_ra", "2")
    default.write_sysctl(f"{_CONF}/all/forwarding", "1")


def _read(key: str) -> str:
    with open(f"{_CONF}/{key}", encoding="ascii") as stream:
        return stream.read().strip()
