"""A copy of this host's interfaces, addresses, routes and switches, in network namespaces that nobody else is in.

What would happen to a packet can be tried there: each interface of the copy is one end of a pair, whose other end is
in a second namespace, the world outside.  A frame that is sent from there arrives as if it came over the wire.

Source: rtnetlink(7), packet(7), linux/rtnetlink.h, linux/fib_rules.h.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lxcwrap.kernel import mount, netlink, veth

_GETLINK, _NEWADDR, _GETADDR, _NEWROUTE, _GETROUTE, _NEWNEIGH, _NEWRULE, _GETRULE = 18, 20, 22, 24, 26, 28, 32, 34
_NEWLINK = 16
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 18, 28
_INFO_KIND, _INFO_DATA, _PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 4, 8
_NODAD, _NOPREFIXROUTE = 0x02, 0x200
_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC = 1, 2, 4, 5, 6, 7
_RTA_METRICS, _RTA_MULTIPATH, _RTA_TABLE, _RTA_MARK, _RTA_VIA = 8, 9, 15, 16, 18
_KEPT = (_RTA_DST, _RTA_SRC, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_METRICS, _RTA_TABLE, _RTA_MARK, _RTA_VIA)
_CLONED, _ONLINK = 0x200, 4
_TABLE_MAIN, _PROTOCOL_KERNEL = 254, 2
_FRA_PRIORITY = 6
_NUD_PERMANENT = 0x80
_UP = 0x1

_ADDRESS, _ROUTE, _HOP = struct.Struct("=BBBBi"), struct.Struct("=BBBBBBBBI"), struct.Struct("=HBBi")
_LINK = struct.Struct("=BxHiII")
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_SWITCHES = (
    ("ipv4", ("forwarding", "route_localnet", "rp_filter", "accept_local", "src_valid_mark")),
    ("ipv6", ("disable_ipv6", "forwarding", "force_forwarding")),
)
_QUIET = {"addr_gen_mode": "1", "accept_ra": "0", "accept_dad": "0"}  # nothing is sent that was not asked for


@dataclass(frozen=True)
class Address:
    family: int
    text: str
    prefix: int
    link: str
    raw: bytes = field(repr=False, default=b"")


@dataclass(frozen=True)
class Link:
    index: int
    name: str
    mac: bytes
    mtu: int


@dataclass(frozen=True)
class Snapshot:
    """What the caller's network namespace has; routes and rules as the kernel told them."""

    links: dict[str, Link]
    addresses: tuple[Address, ...]
    routes: tuple[bytes, ...]
    rules: tuple[bytes, ...]
    switches: dict[str, str]  # files below /proc/sys/net and their values

    def way(self, address: str) -> str:
        """The interface that leads to an address by the main table; '' for none, or several at once."""
        target = ipaddress.ip_address(address)
        best, found = -1, ""
        for network, link in self._leading(socket.AF_INET if target.version == 4 else socket.AF_INET6):
            if network.prefixlen > best and target in network:
                best, found = network.prefixlen, link
        return found

    def gateways(self, family: int) -> tuple[str, ...]:
        """Interfaces with a default route."""
        return tuple(dict.fromkeys(link for network, link in self._leading(family) if not network.prefixlen and link))

    def _leading(self, family: int) -> Iterator[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]]:
        for address in self.addresses:
            if address.family == family:
                yield ipaddress.ip_network(f"{address.text}/{address.prefix}", strict=False), address.link
        names = {link.index: link.name for link in self.links.values()}
        for content in self.routes:
            kind, prefix, _, _, table, *_ = _ROUTE.unpack_from(content)
            values = netlink.attributes(content[_ROUTE.size :])
            if (kind, table) == (family, _TABLE_MAIN):
                start = values.get(_RTA_DST, bytes(4 if family == socket.AF_INET else 16))
                index = struct.unpack("=i", values.get(_RTA_OIF, bytes(4)))[0]
                yield ipaddress.ip_network((start, prefix), strict=False), names.get(index, "")


def snapshot() -> Snapshot:
    """Read what this network namespace has.  Changes nothing."""
    with netlink.Socket() as route:
        links = dict(_links(route))
        names = {link.index: link.name for link in links.values()}
        addresses = tuple(_addresses(route, names))
        routes = tuple(content for family in _FAMILIES for content in _routes(route, family))
        rules = tuple(
            content for family in _FAMILIES for content in _dump(route, _GETRULE, bytes([family]) + bytes(11))
        )
    return Snapshot(links, addresses, routes, rules, dict(_switches(links)))


def _dump(route: netlink.Socket, kind: int, content: bytes) -> list[bytes]:
    try:
        return [answer for _, answer in route.ask(kind, netlink.F_DUMP, content)]
    except OSError:
        return []  # this kernel has no IPv6


def _links(route: netlink.Socket) -> Iterator[tuple[str, Link]]:
    for content in _dump(route, _GETLINK, _LINK.pack(0, 0, 0, 0, 0)):
        _, _, index, flags, _ = _LINK.unpack_from(content)
        values = netlink.attributes(content[_LINK.size :])
        name = values[_IFLA_IFNAME].rstrip(b"\0").decode(errors="replace")
        if flags & _UP:
            mtu = struct.unpack("=I", values.get(_IFLA_MTU, struct.pack("=I", 1500)))[0]
            yield name, Link(index, name, values.get(_IFLA_ADDRESS, b""), mtu)


def _addresses(route: netlink.Socket, names: dict[int, str]) -> Iterator[Address]:
    for content in _dump(route, _GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0)):
        family, prefix, _, _, index = _ADDRESS.unpack_from(content)
        values = netlink.attributes(content[_ADDRESS.size :])
        local = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
        if family in _FAMILIES and local and index in names:
            yield Address(family, socket.inet_ntop(family, local), prefix, names[index], content)


def _routes(route: netlink.Socket, family: int) -> Iterator[bytes]:
    """Those that somebody set: the kernel makes its own along with the addresses."""
    for content in _dump(route, _GETROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
        _, _, _, _, _, protocol, _, _, flags = _ROUTE.unpack_from(content)
        if not flags & _CLONED and protocol != _PROTOCOL_KERNEL:
            yield content


def _switches(links: Iterable[str]) -> Iterator[tuple[str, str]]:
    paths = ["ipv4/ip_forward"]
    for family, names in _SWITCHES:
        paths += [f"{family}/conf/{where}/{name}" for where in ("all", "default", *links) for name in names]
    for path in paths:
        try:
            with open(f"/proc/sys/net/{path}") as stream:
                yield path, stream.read().strip()
        except OSError:
            continue  # this kernel has no such switch


class Copy:
    """The copy: ``inside`` and ``outside`` are descriptors of namespaces; ``failures`` say what is not in it."""

    def __init__(self, inside: int, outside: int) -> None:
        self.inside, self.outside = inside, outside
        self.links: dict[str, Link] = {}
        self.peers: dict[str, str] = {}  # the name of each interface's other end, outside
        self.failures: list[str] = []

    def add_neighbour(self, link: str, address: str) -> None:
        """Packets for the address leave by the link, without anybody being asked where it is."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        content = struct.pack("=BxxxiHBB", family, self.links[link].index, _NUD_PERMANENT, 0, 0)
        content += netlink.attribute(1, socket.inet_pton(family, address))
        content += netlink.attribute(2, b"\x02\x4c\0\0\0\x01")
        with veth.entered(self.inside), netlink.Socket() as route:
            route.ask(_NEWNEIGH, netlink.F_CREATE, content)


@contextmanager
def made(host: Snapshot, wanted: Iterable[str]) -> Iterator[Copy]:
    """A copy of the host with those interfaces and the ones that have addresses or routes.  Gone afterwards."""
    inside = _namespace()
    try:
        outside = _namespace()
        try:
            copy = Copy(inside, outside)
            _fill(copy, host, _needed(host, set(wanted)))
            yield copy
        finally:
            os.close(outside)
    finally:
        os.close(inside)


def _namespace() -> int:
    """A fresh network namespace."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        mount.unshare(mount.CLONE_NEWNET)
        try:
            for name, value in _QUIET.items():
                _set(f"ipv6/conf/default/{name}", value)
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            mount.setns(own, mount.CLONE_NEWNET)
    finally:
        os.close(own)


def _set(path: str, value: str) -> bool:
    try:
        with open(f"/proc/sys/net/{path}", "w") as stream:
            stream.write(value)
    except OSError:
        return False
    return True


def _needed(host: Snapshot, wanted: set[str]) -> list[Link]:
    indexes = {index for content in host.routes for index in _outgoing(content)}
    wanted |= {address.link for address in host.addresses if not address.text.startswith("fe80:")}
    return [
        link for link in host.links.values() if link.name != "lo" and (link.name in wanted or link.index in indexes)
    ]


def _outgoing(content: bytes) -> Iterator[int]:
    values = netlink.attributes(content[_ROUTE.size :])
    if _RTA_OIF in values:
        yield struct.unpack("=i", values[_RTA_OIF])[0]
    for _, _, index, _ in _hops(values.get(_RTA_MULTIPATH, b"")):
        yield index


def _hops(content: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(flags, weight, interface, attributes) of each next hop."""
    while len(content) >= _HOP.size:
        size, flags, weight, index = _HOP.unpack_from(content)
        if size < _HOP.size:
            return
        yield flags, weight, index, content[_HOP.size : size]
        content = content[(size + 3) & ~3 :]


def _fill(copy: Copy, host: Snapshot, links: list[Link]) -> None:
    with veth.entered(copy.inside), netlink.Socket() as route:
        netlink.set_up(route, socket.if_nametoindex("lo"))
        for link in links:
            copy.peers[link.name] = f"w{link.index}"
            _add_link(route, link, copy.peers[link.name], copy.outside)
            copy.links[link.name] = Link(socket.if_nametoindex(link.name), link.name, link.mac, link.mtu)
        for path, value in host.switches.items():
            _set(path, value)
        moved = {link.index: copy.links[link.name].index for link in links}
        moved[host.links["lo"].index if "lo" in host.links else 1] = socket.if_nametoindex("lo")
        for address in host.addresses:
            _add_address(route, copy, address)
        for link in links:
            netlink.set_up(route, copy.links[link.name].index)
        _add_routes(route, copy, host, moved)
        for rule in host.rules:
            if _FRA_PRIORITY in netlink.attributes(rule[12:]):  # every namespace has the first one
                _replay(route, copy, _NEWRULE, rule, "a rule of 'ip rule'")
    with veth.entered(copy.outside), netlink.Socket() as route:
        for name in copy.peers.values():
            netlink.set_up(route, socket.if_nametoindex(name))
    with veth.entered(copy.inside):
        _read_macs(copy)


def _add_link(route: netlink.Socket, link: Link, peer: str, outside: int) -> None:
    other = _LINK.pack(0, 0, 0, 0, 0) + netlink.attribute(_IFLA_IFNAME, f"{peer}\0".encode())
    other += netlink.attribute(_IFLA_NET_NS_FD, struct.pack("=I", outside))
    info = netlink.nested(
        _IFLA_LINKINFO,
        netlink.attribute(_INFO_KIND, b"veth"),
        netlink.nested(_INFO_DATA, netlink.attribute(_PEER, other)),
    )
    content = netlink.attribute(_IFLA_IFNAME, f"{link.name}\0".encode())
    content += netlink.attribute(_IFLA_MTU, struct.pack("=I", min(max(link.mtu, 1280), 65535)))
    if len(link.mac) == 6 and any(link.mac) and not link.mac[0] & 1:
        content += netlink.attribute(_IFLA_ADDRESS, link.mac)
    route.ask(_NEWLINK, netlink.F_CREATE | netlink.F_EXCL, _LINK.pack(0, 0, 0, 0, 0) + content + info)


def _add_address(route: netlink.Socket, copy: Copy, address: Address) -> None:
    index = socket.if_nametoindex("lo") if address.link == "lo" else 0
    index = copy.links[address.link].index if address.link in copy.links else index
    if not index:
        return
    family, prefix, flags, scope, _ = _ADDRESS.unpack_from(address.raw)
    values = netlink.attributes(address.raw[_ADDRESS.size :])
    wide = struct.unpack("=I", values.get(_IFA_FLAGS, struct.pack("=I", flags)))[0] & _NOPREFIXROUTE
    if family == socket.AF_INET6:
        wide |= _NODAD
    content = _ADDRESS.pack(family, prefix, wide & 0xFF, scope, index)
    for kind in (_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST):
        content += netlink.attribute(kind, values[kind]) if kind in values else b""
    content += netlink.attribute(_IFA_FLAGS, struct.pack("=I", wide))
    _replay(route, copy, _NEWADDR, content, f"the address {address.text} of {address.link}")


def _add_routes(route: netlink.Socket, copy: Copy, host: Snapshot, moved: dict[int, int]) -> None:
    """Those with a gateway last: it has to be reachable already."""
    texts = sorted(host.routes, key=lambda content: _RTA_GATEWAY in netlink.attributes(content[_ROUTE.size :]))
    for content in texts:
        if all(index in moved for index in _outgoing(content)):
            _replay(route, copy, _NEWROUTE, _rewritten(content, moved), "a route")


def _rewritten(content: bytes, moved: dict[int, int]) -> bytes:
    """The route by the copy's interfaces."""
    *header, flags = _ROUTE.unpack_from(content)
    values = netlink.attributes(content[_ROUTE.size :])
    text = _ROUTE.pack(*header, flags & _ONLINK)
    for kind in _KEPT:
        text += netlink.attribute(kind, values[kind]) if kind in values else b""
    hops = b"".join(
        _HOP.pack(_HOP.size + len(rest), flags & _ONLINK, weight, moved[index]) + rest
        for flags, weight, index, rest in _hops(values.get(_RTA_MULTIPATH, b""))
    )
    if hops:
        return text + netlink.attribute(_RTA_MULTIPATH, hops)
    if _RTA_OIF in values:
        return text + netlink.attribute(_RTA_OIF, struct.pack("=i", moved[struct.unpack("=i", values[_RTA_OIF])[0]]))
    return text


def _replay(route: netlink.Socket, copy: Copy, kind: int, content: bytes, what: str) -> None:
    try:
        route.ask(kind, netlink.F_CREATE | netlink.F_EXCL, content)
    except FileExistsError:
        pass  # the kernel made it by itself
    except OSError as error:
        copy.failures.append(f"{what} cannot be copied: {error.strerror}")


def _read_macs(copy: Copy) -> None:
    with netlink.Socket() as route:
        for name, link in _links(route):
            if name in copy.links:
                copy.links[name] = link
