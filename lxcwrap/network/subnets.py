"""Which subnet a bridge gets: one that no route and no resolver of this host uses."""

from __future__ import annotations

import ipaddress
import os
import zlib
from collections.abc import Iterable, Iterator

from lxcwrap.errors import Conflict
from lxcwrap.model.paths import Paths

Network = ipaddress.IPv4Network

_DEFAULT = "10.99.0.0/16"
_OTHERS = tuple(f"10.{number}.0.0/16" for number in range(100, 112))
_TAGGED = Network("10.112.0.0/12")  # what other state roots take their pieces from, ...
_OWN = Network("10.128.0.0/12")
_PIECE = 21  # ... each of this prefix length: 2046 addresses


def candidates(paths: Paths) -> Iterator[Network]:
    """Subnets to try, in order.  A tagged root begins at a place of its own, so that it mostly gets the same one."""
    if not paths.tag:
        yield from map(Network, (_DEFAULT, *_OTHERS))
        return
    pieces = list(_TAGGED.subnets(new_prefix=_PIECE))
    start = zlib.crc32(paths.tag.encode()) % len(pieces)
    yield from pieces[start:] + pieces[:start]


def own_candidates(paths: Paths) -> Iterator[Network]:
    """Subnets for networks of the user's own, in order; a tagged root begins at a place of its own here, too."""
    pieces = list(_OWN.subnets(new_prefix=24))
    start = zlib.crc32(paths.tag.encode()) % len(pieces) if paths.tag else 0
    yield from pieces[start:] + pieces[:start]


def unique_local() -> ipaddress.IPv6Network:
    """A /64 that nobody else has: RFC 4193."""
    return ipaddress.IPv6Network((b"\xfd" + os.urandom(5) + bytes(10), 64))


def choose(wanted: Iterable[Network], used: Iterable[Network]) -> Network:
    """The first that overlaps nothing in use.  Raises Conflict."""
    taken = list(used)
    tried = []
    for subnet in wanted:
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
        tried.append(subnet)
    raise Conflict(
        f"no free subnet for the bridge: {', '.join(map(str, tried[:3]))} overlap routes of this host",
        hint="name a free one in /etc/lxcwrap/network.yaml: subnet: 10.200.0.0/16",
    )
