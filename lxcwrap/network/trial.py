"""Packets tried in a copy of this host: which of them come to a container, and which to the host itself.

Chains of our own count before all others and after all others; a packet is known by its source port.
"""

from __future__ import annotations

import enum
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from lxcwrap.kernel import firewall, frames, netcopy, nftables, veth
from lxcwrap.kernel.firewall import Table
from lxcwrap.kernel.netcopy import Copy, Snapshot

_FIRST_PORT, _MARKERS = 20000, 60000  # source ports of what is tried, and of what tells that all has arrived
MOST = _MARKERS - _FIRST_PORT
_PATIENCE = 1.0  # seconds
_SETS = ("arrived", "routed", "delivered", "received")
_OBSERVER = """\
table inet lxcwrap_audit {{
    set arrived {{ type inet_service; size 65535; flags dynamic; }}
    set routed {{ type inet_service; size 65535; flags dynamic; }}
    set delivered {{ type inet_service; size 65535; flags dynamic; }}
    set received {{ type inet_service; size 65535; flags dynamic; }}
    chain prerouting {{
        type filter hook prerouting priority -2100000000; policy accept;
        meta l4proto {{ tcp, udp }} add @arrived {{ th sport }}
    }}
    chain forward {{
        type filter hook forward priority -2100000000; policy accept;
        meta l4proto {{ tcp, udp }} ct direction original add @routed {{ ct original proto-src }}
    }}
    chain input {{
        type filter hook input priority 2100000000; policy accept;
        meta l4proto {{ tcp, udp }} add @received {{ th sport }}
    }}
    chain postrouting {{
        type filter hook postrouting priority 2100000000; policy accept;
        oifname != {{ {bridges} }} return
        meta l4proto {{ tcp, udp }} ct direction original add @delivered {{ ct original proto-src }}
    }}
}}
"""


class Try(NamedTuple):
    """One packet.  ``link`` is the interface by which it comes; '' when a process of the host sends it."""

    protocol: str
    link: str
    source: str
    destination: str
    port: int


class Outcome(enum.Enum):
    """Where a packet came to."""

    CONTAINER = "container"
    HOST = "host"
    FORWARD = "forward"  # it was on its way to a container, and dropped
    LOST = "lost"


class Result(NamedTuple):
    outcomes: list[Outcome]
    problems: list[str]  # what is not as on the host, and so cannot be told


def run(
    host: Snapshot,
    tables: Sequence[Table],
    tries: Sequence[Try],
    containers: Mapping[str, str],
    bridges: Iterable[str],
    *,
    again: bool,
) -> Result:
    """Send all of them in a copy of the host with those tables.

    ``containers``: the bridge of each container's address.  ``again``: each is sent a second time, as clients do.
    """
    named = {name for table in tables for name in re.findall(r"[\w.@-]+", table.text)}
    bridges = tuple(bridges)
    with netcopy.made(host, {*bridges, *(name for name in host.links if name in named)}) as copy:
        for address, bridge in containers.items():
            if bridge in copy.links:
                copy.add_neighbour(bridge, address)
        problems = list(copy.failures)
        with veth.entered(copy.inside):
            for table in tables:
                problem = firewall.load(table)
                problems += [f"{table.title}: {problem}"] if problem else []
            nftables.run(_OBSERVER.format(bridges=", ".join(f'"{name}"' for name in bridges)))
        with _one_processor():
            _send(copy, tries, 2 if again else 1)
        with veth.entered(copy.inside):
            seen = {name: _elements(name) for name in _SETS}
    ports = range(_FIRST_PORT, _FIRST_PORT + len(tries))
    return Result([_outcome(seen, port) for port in ports], list(dict.fromkeys(problems)))


def _outcome(seen: dict[str, set[int]], port: int) -> Outcome:
    if port in seen["delivered"]:
        return Outcome.CONTAINER
    if port in seen["received"]:
        return Outcome.HOST
    return Outcome.FORWARD if port in seen["routed"] else Outcome.LOST


def _elements(name: str) -> set[int]:
    text = nftables.run(f"list set inet lxcwrap_audit {name}")
    return {int(number) for number in re.findall(r"\d+", text.partition("elements = {")[2])}


@contextmanager
def _one_processor() -> Iterator[None]:
    """What is sent on one processor is worked off there, one packet after the other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _send(copy: Copy, tries: Sequence[Try], rounds: int) -> None:
    with veth.entered(copy.outside):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with wire:
        for number in range(rounds):
            for at, one in enumerate(tries):
                if one.link in copy.links:
                    link = copy.links[one.link]
                    content = frames.frame(
                        link.mac, one.protocol, one.source, _FIRST_PORT + at, one.destination, one.port
                    )
                    wire.sendto(content, (copy.peers[one.link], 0))
            _settle(copy, wire, _MARKERS + number * 1000)
    with veth.entered(copy.inside):
        for at, one in enumerate(tries):
            if not one.link:
                _send_from_here(one, _FIRST_PORT + at)


def _settle(copy: Copy, wire: socket.socket, first: int) -> None:
    """Wait until all that was sent has arrived: one packet more on each wire has."""
    wanted = set()
    for at, (name, link) in enumerate(copy.links.items()):
        content = frames.frame(link.mac, "udp", "198.51.100.9", first + at, "198.51.100.10", 9)
        wire.sendto(content, (copy.peers[name], 0))
        wanted.add(first + at)
    over = time.monotonic() + _PATIENCE
    with veth.entered(copy.inside):
        while not wanted <= _elements("arrived") and time.monotonic() < over:
            time.sleep(0.005)


def _send_from_here(one: Try, source_port: int) -> None:
    family = socket.AF_INET6 if ":" in one.destination else socket.AF_INET
    kind = socket.SOCK_DGRAM if one.protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as client:
        client.setblocking(False)
        client.bind(("", source_port))
        try:
            client.connect((one.destination, one.port))
            client.send(b"test")
        except OSError:
            pass  # under way, or refused: the chains tell
