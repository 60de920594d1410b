"""Netlink: links, addresses and routes, without a helper process.

Source: netlink(7), rtnetlink(7), linux/if_link.h, linux/rtnetlink.h.  Imports little: containers' supervisors load it.
"""

from __future__ import annotations

import _socket as socket  # the C module alone: supervisors do without what `socket` adds
import os
import struct
from collections.abc import Iterator

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

F_REQUEST, F_ACK, F_DUMP = 0x1, 0x4, 0x300
F_REPLACE, F_EXCL, F_CREATE = 0x100, 0x200, 0x400
NESTED = 0x8000

_NOOP, _ERROR, _DONE = 1, 2, 3
_NEWLINK, _DELLINK, _NEWADDR, _DELADDR, _GETADDR = 16, 17, 20, 21, 22
_NEWROUTE, _GETROUTE = 24, 26
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = (
    1,
    3,
    4,
    5,
    10,
    18,
    28,
)
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER, _CHILD_MODE = 1, 2, 1, 1  # IFLA_MACVLAN_MODE, IFLA_IPVLAN_MODE
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_IFF_UP = 0x1
_RT_TABLE_MAIN, _RT_SCOPE_LINK = 254, 253
_RTPROT_BOOT, _RTN_UNICAST = 3, 1
_IFA_F_NODAD = 0x02
_BUFFER = 1 << 18  # bytes of one answer

_HEADER = struct.Struct("=LHHLL")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBi")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg
_ATTRIBUTE = struct.Struct("=HH")


def attribute(kind: int, content: bytes) -> bytes:
    """One rtattr, padded to four bytes."""
    size = _ATTRIBUTE.size + len(content)
    return _ATTRIBUTE.pack(size, kind) + content + b"\0" * (-size % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(attributes))


def attributes(content: bytes) -> dict[int, bytes]:
    """The attributes of an answer by kind; of several of one kind the last."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(content):
        size, kind = _ATTRIBUTE.unpack_from(content, at)
        if size < 4:
            break
        found[kind & 0x3FFF] = content[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


def message(kind: int, flags: int, content: bytes, sequence: int = 1) -> bytes:
    return _HEADER.pack(_HEADER.size + len(content), kind, flags | F_REQUEST, sequence, 0) + content


class Socket:
    """A netlink socket of the network namespace that the caller is in.  Close it, or use it in ``with``."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, kind: int, flags: int, content: bytes) -> list[tuple[int, bytes]]:
        """Send one request; returns the answers as (type, content).  Raises OSError with the kernel's errno."""
        self._socket.send(message(kind, flags | F_ACK, content))
        return list(self._answers(1))

    def ask_all(self, packet: bytes, acknowledged: int) -> None:
        """Send several messages at once, of which ``acknowledged`` ask for an answer.  Raises the first OSError."""
        self._socket.send(packet)
        for _ in self._answers(acknowledged):
            pass

    def _answers(self, count: int) -> Iterator[tuple[int, bytes]]:
        failure = 0
        while count > 0:
            packet = self._socket.recv(_BUFFER)
            at = 0
            while at + _HEADER.size <= len(packet):
                size, kind, _, _, _ = _HEADER.unpack_from(packet, at)
                content = packet[at + _HEADER.size : at + size]
                at += (size + 3) & ~3
                if kind in (_ERROR, _DONE):
                    count -= 1
                    failure = failure or -struct.unpack_from("=i", content)[0]
                elif kind != _NOOP:
                    yield kind, content
        if failure:
            raise OSError(failure, os.strerror(failure))


def _link(index: int = 0, *, flags: int = 0, change: int = 0) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, change)


def _name(text: str) -> bytes:
    return text.encode() + b"\0"


def _u32(number: int) -> bytes:
    return struct.pack("=I", number)


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def create_bridge(route: Socket, name: str, mac: str, mtu: int) -> int:
    """Make a bridge, down; returns its index.  Raises FileExistsError."""
    info = nested(_IFLA_LINKINFO, attribute(_INFO_KIND, b"bridge"))
    wanted = attribute(_IFLA_IFNAME, _name(name)) + attribute(_IFLA_ADDRESS, mac_bytes(mac))
    route.ask(_NEWLINK, F_CREATE | F_EXCL, _link() + wanted + attribute(_IFLA_MTU, _u32(mtu)) + info)
    return socket.if_nametoindex(name)


def create_veth(route: Socket, name: str, bridge: int, mtu: int, *, peer: str, peer_mac: str, namespace: int) -> None:
    """Make a pair: ``name`` up on the bridge here, ``peer`` in the network namespace of that descriptor, down.

    The peer is made where it belongs: moving a device between namespaces costs milliseconds.
    """
    inside = _link() + attribute(_IFLA_IFNAME, _name(peer)) + attribute(_IFLA_MTU, _u32(mtu))
    inside += attribute(_IFLA_ADDRESS, mac_bytes(peer_mac)) + attribute(_IFLA_NET_NS_FD, _u32(namespace))
    info = nested(
        _IFLA_LINKINFO, attribute(_INFO_KIND, b"veth"), nested(_INFO_DATA, attribute(_VETH_INFO_PEER, inside))
    )
    here = _link(flags=_IFF_UP, change=_IFF_UP) + attribute(_IFLA_IFNAME, _name(name))
    here += attribute(_IFLA_MTU, _u32(mtu)) + attribute(_IFLA_MASTER, _u32(bridge))
    route.ask(_NEWLINK, F_CREATE | F_EXCL, here + info)


def create_child(
    route: Socket, kind: str, mode: int, parent: int, *, name: str, mac: str, mtu: int, namespace: int
) -> None:
    """Make a ``macvlan`` or ``ipvlan`` link (down) upon ``parent``, in the network namespace of that descriptor."""
    width = "=I" if kind == "macvlan" else "=H"
    wanted = attribute(_IFLA_IFNAME, _name(name)) + attribute(_IFLA_LINK, _u32(parent))
    wanted += attribute(_IFLA_NET_NS_FD, _u32(namespace)) + (attribute(_IFLA_MTU, _u32(mtu)) if mtu else b"")
    wanted += attribute(_IFLA_ADDRESS, mac_bytes(mac)) if mac else b""
    info = nested(
        _IFLA_LINKINFO,
        attribute(_INFO_KIND, kind.encode()),
        nested(_INFO_DATA, attribute(_CHILD_MODE, struct.pack(width, mode))),
    )
    route.ask(_NEWLINK, F_CREATE | F_EXCL, _link() + wanted + info)


def set_up(route: Socket, index: int) -> None:
    route.ask(_NEWLINK, 0, _link(index, flags=_IFF_UP, change=_IFF_UP))


def set_mtu(route: Socket, index: int, mtu: int) -> None:
    route.ask(_NEWLINK, 0, _link(index) + attribute(_IFLA_MTU, _u32(mtu)))


def delete_link(route: Socket, index: int) -> None:
    """Remove a link (and the other end of a pair).  Raises OSError ENODEV."""
    route.ask(_DELLINK, 0, _link(index))


def add_address(route: Socket, index: int, address: bytes, prefix: int) -> None:
    """Give a link an IPv4 or IPv6 address (its bytes).  Does nothing when it has it.

    Addresses are handed out, so nobody is asked for a second or two whether one is taken (IPv6's DAD).
    """
    content = _ADDRESS.pack(_family(address), prefix, 0 if len(address) == 4 else _IFA_F_NODAD, 0, index)
    content += attribute(_IFA_LOCAL, address) + attribute(_IFA_ADDRESS, address)
    try:
        route.ask(_NEWADDR, F_CREATE | F_EXCL, content)
    except FileExistsError:
        pass


def delete_address(route: Socket, index: int, address: bytes, prefix: int) -> None:
    content = _ADDRESS.pack(_family(address), prefix, 0, 0, index)
    route.ask(_DELADDR, 0, content + attribute(_IFA_LOCAL, address))


def add_default_route(route: Socket, gateway: bytes) -> None:
    """The default route of the caller's namespace, IPv4 or IPv6 by the gateway's length; another one is replaced."""
    content = _ROUTE.pack(_family(gateway), 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, 0, _RTN_UNICAST, 0)
    route.ask(_NEWROUTE, F_CREATE | F_REPLACE, content + attribute(_RTA_GATEWAY, gateway))


def add_device_route(route: Socket, index: int, family: int) -> None:
    """A default route that leads to a link itself, with no gateway; another one is replaced."""
    content = _ROUTE.pack(family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, 0, _RTN_UNICAST, 0)
    route.ask(_NEWROUTE, F_CREATE | F_REPLACE, content + attribute(_RTA_OIF, _u32(index)))


def addresses(route: Socket, index: int, family: int = socket.AF_INET) -> tuple[tuple[bytes, int], ...]:
    """The addresses of a link: (their bytes, prefix length).  IPv6's link-local ones are the kernel's own affair."""
    return tuple((address, prefix) for address, prefix, owner in all_addresses(route, family) if owner == index)


def all_addresses(route: Socket, family: int = socket.AF_INET) -> tuple[tuple[bytes, int, int], ...]:
    """All addresses of the caller's namespace: (their bytes, prefix length, index of the link)."""
    found = []
    for _, content in route.ask(_GETADDR, F_DUMP, _ADDRESS.pack(family, 0, 0, 0, 0)):
        _, prefix, _, scope, owner = _ADDRESS.unpack_from(content)
        values = attributes(content[_ADDRESS.size :])
        local = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
        if local and (family == socket.AF_INET or scope != _RT_SCOPE_LINK):
            found.append((local, prefix, owner))
    return tuple(found)


def routes(route: Socket, family: int = socket.AF_INET) -> tuple[tuple[bytes, int, int], ...]:
    """The routes of the main table: (destination, prefix length, index of the link)."""
    found = []
    for _, content in route.ask(_GETROUTE, F_DUMP, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
        _, prefix, _, _, table, _, _, _, _ = _ROUTE.unpack_from(content)
        values = attributes(content[_ROUTE.size :])
        if table == _RT_TABLE_MAIN and _RTA_OIF in values:
            index = struct.unpack("=I", values[_RTA_OIF])[0]
            found.append((values.get(_RTA_DST, bytes(4 if family == socket.AF_INET else 16)), prefix, index))
    return tuple(found)


def _family(address: bytes) -> int:
    return socket.AF_INET if len(address) == 4 else socket.AF_INET6


def link_name(index: int) -> str:
    """Raises OSError when there is no such link."""
    return socket.if_indextoname(index)
