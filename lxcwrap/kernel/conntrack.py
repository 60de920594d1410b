"""The kernel's table of connections: forgetting those that lead to an address.

Source: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection

from lxcwrap.kernel import netlink

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET and _DELETE
_ORIGINAL, _REPLY = 1, 2  # CTA_TUPLE_ORIG, CTA_TUPLE_REPLY
_ADDRESSES, _PROTOCOL = 1, 2  # CTA_TUPLE_IP, CTA_TUPLE_PROTO
_SOURCE, _TARGET, _NUMBER = {4: 1, 16: 3}, {4: 2, 16: 4}, 1  # by an address's length; CTA_PROTO_NUM


def forget_datagrams(addresses: Collection[str]) -> int:
    """Let UDP packets that were led to these addresses find their way anew; how many flows there were.

    For UDP a flow lasts as long as somebody sends, whether or not anybody is left there to hear it.
    """
    wanted = [socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in addresses]
    found = 0
    for family in {socket.AF_INET if len(one) == 4 else socket.AF_INET6 for one in wanted}:
        with netlink.Socket(netlink.NETLINK_NETFILTER) as channel:
            entries = channel.ask(_GET, netlink.F_DUMP, _family(family))
            for _, content in entries:
                original = _led_to(netlink.attributes(content[4:]), wanted)
                found += bool(original) and _forget(channel, family, original)
    return found


def _led_to(entry: dict[int, bytes], wanted: list[bytes]) -> bytes:
    """The tuple of a flow that was sent elsewhere and is answered by one of those addresses; b'' for any other."""
    original, reply = entry.get(_ORIGINAL, b""), netlink.attributes(entry.get(_REPLY, b""))
    protocol = netlink.attributes(reply.get(_PROTOCOL, b"")).get(_NUMBER, b"")
    if protocol != bytes([socket.IPPROTO_UDP]):
        return b""
    answering = netlink.attributes(reply.get(_ADDRESSES, b""))
    asked = netlink.attributes(netlink.attributes(original).get(_ADDRESSES, b""))
    for address in wanted:
        if answering.get(_SOURCE[len(address)]) == address != asked.get(_TARGET[len(address)]):
            return original
    return b""


def _forget(channel: netlink.Socket, family: int, original: bytes) -> bool:
    try:
        channel.ask(_DELETE, 0, _family(family) + netlink.nested(_ORIGINAL, original))
    except FileNotFoundError:  # it has ended by itself
        return False
    return True


def _family(family: int) -> bytes:
    return struct.pack("!BBH", family, 0, 0)
