"""The nftables table of one state root: its text, and the elements of its maps.

Published ports are elements of two maps, so that publishing one is adding an element, however many there are.
"""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lxcwrap.kernel.nftables import Element
from lxcwrap.model.network import ANY, ANY6, NetworkDefinition

HONOURS = "honours the host's firewall"  # in the table's comment: published ports are elements of sets too
ANYWHERE, BOUND = "anywhere", "bound"  # maps: ports on every address of the host, ports on one; "6" for IPv6's
LOOPBACK6 = "::1"
MAPS = (ANYWHERE, BOUND, ANYWHERE + "6", BOUND + "6")
CHECKED = "_checked"  # sets: ports that the host's firewall is asked about, beside each map
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": 132}

_TABLE = """\
table inet {table} {{
    comment "{comment}"
    map anywhere {{
        type inet_proto . inet_service : ipv4_addr . inet_service
        {anywhere}
    }}
    map bound {{
        type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
        {bound}
    }}
    map anywhere6 {{
        type inet_proto . inet_service : ipv6_addr . inet_service
        {anywhere6}
    }}
    map bound6 {{
        type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
        {bound6}
    }}
    {checks}
    chain publish {{
        dnat ip to ip daddr . meta l4proto . th dport map @bound
        dnat ip to meta l4proto . th dport map @anywhere
        # A container could not answer a link-local address; for ::1 the kernel takes no answers from elsewhere.
        ip6 daddr {{ ::1, fe80::/10 }} return
        dnat ip6 to ip6 daddr . meta l4proto . th dport map @bound6
        dnat ip6 to meta l4proto . th dport map @anywhere6
    }}
    # From other machines and from containers.  The loopback net is for this host's own processes alone.
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr 127.0.0.0/8 return
        {first}
        fib daddr type local jump publish
    }}
    # From this host, to its own addresses and to 127.0.0.1.
    chain output {{
        type nat hook output priority -100; policy accept;
        fib daddr type local jump publish
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {subnet} oifname != "{bridge}" masquerade
        oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
        oifname "{bridge}" ip saddr {subnet} ct status dnat masquerade
    }}
    # route_localnet is on for the bridge, so that 127.0.0.1 can be published: containers must not use it.
    chain guard {{
        type filter hook prerouting priority raw; policy accept;
        iifname "{bridge}" ip daddr 127.0.0.0/8 drop
    }}
    # Other machines and other bridges reach what is published, by its published port.
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "{bridge}" accept
        oifname "{bridge}" ct state established,related accept
        oifname "{bridge}" ct status dnat accept
        oifname "{bridge}" drop
    }}
}}
"""


@dataclass(frozen=True)
class Published:
    """A port of the host that leads to a container's ``address``; ``host_ip`` 0.0.0.0 or :: is every address."""

    host_ip: str
    host_port: int
    protocol: str
    container_id: str
    container_port: int
    address: str = ""


def ruleset(table: str, definition: NetworkDefinition, published: Iterable[Published], checks: str = "") -> str:
    """nft commands that replace the table, in one transaction.  ``checks``: network.honour's sets and chains, or ''."""
    published = tuple(published)
    texts: dict[str, list[str]] = {name: [] for name in MAPS}
    for port in by_rule(published):
        key = "" if port.host_ip in (ANY, ANY6) else f"{port.host_ip} . "
        texts[map_of(port)].append(f"{key}{port.protocol} . {port.host_port} : {port.address} . {port.container_port}")
    lists = {name: f"elements = {{ {', '.join(items)} }}" if items else "" for name, items in texts.items()}
    filled = first = ""
    if checks:
        from lxcwrap.network import honour

        filled, first = honour.filled(checks, by_rule(published)), honour.FIRST
    body = _TABLE.format(
        table=table, comment=comment(definition, checks), subnet=definition.subnet, bridge=definition.bridge,
        checks=filled, first=first, **lists,
    )  # fmt: skip
    return f"table inet {table}\ndelete table inet {table}\n{body}"


def comment(definition: NetworkDefinition, checks: str = "") -> str:
    """Tells from the table alone whether it is the one that this program would make."""
    text = f"{_TABLE}{definition.subnet}{definition.bridge}{checks}"
    return f"lxcwrap {zlib.crc32(text.encode()):08x}{' ' + HONOURS if checks else ''}"


def by_rule(ports: Iterable[Published]) -> Iterator[Published]:
    """Those that the kernel leads to the container; for ::1, where it takes no answers, supervisors do."""
    return (port for port in ports if port.host_ip != LOOPBACK6)


def map_of(port: Published) -> str:
    name = ANYWHERE if port.host_ip in (ANY, ANY6) else BOUND
    return name + "6" if ":" in port.host_ip else name


def key(port: Published) -> bytes:
    """The element's key: address (in ``bound``), protocol and port, each padded to four bytes."""
    bound = b"" if port.host_ip in (ANY, ANY6) else packed(port.host_ip)
    return bound + struct.pack("!B3xH2x", PROTOCOLS[port.protocol], port.host_port)


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def element(port: Published) -> Element:
    return key(port), packed(port.address) + struct.pack("!H2x", port.container_port)


def by_map(ports: Iterable[Published], *, keys_only: bool = False, checked: bool = False) -> dict[str, list[Element]]:
    """Elements of each map (and with ``checked`` of the set beside it), for kernel.nftables.change_elements."""
    found: dict[str, list[Element]] = {}
    for port in by_rule(ports):
        name = map_of(port)
        found.setdefault(name, []).append((key(port), b"") if keys_only else element(port))
        if checked:
            found.setdefault(f"{name}{CHECKED}", []).append((key(port), b""))
    return found
