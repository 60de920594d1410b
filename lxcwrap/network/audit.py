"""From where published ports are reached: who could ask for them, and what becomes of it in a copy of this host.

Three attempts: with all rules of the host, with all but ours, and with ours alone.  Beside each other they say who
refuses a port, and what the host's firewall would have said about a program of the host on that port.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lxcwrap.kernel import firewall, netcopy
from lxcwrap.kernel.firewall import Table
from lxcwrap.kernel.netcopy import Address, Snapshot
from lxcwrap.model.network import ANY
from lxcwrap.network import trial
from lxcwrap.network.trial import Outcome, Try

_ELSEWHERE = {4: "198.51.100.7", 6: "2001:db8:ffff::7"}  # addresses for documentation: nobody's
_NAMED = re.compile(
    r"(?<![\w.:])(\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?!\.?\d)|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:]*(?:/\d+)?)"
)
_MOST_NAMED = 50  # addresses that stand in the firewall's rules and are tried


class Kind(enum.Enum):
    """Who asks."""

    HOST = "host"
    CONTAINERS = "containers"
    NEIGHBOUR = "neighbour"
    ELSEWHERE = "elsewhere"
    NAMED = "named"  # an address that a rule of the firewall names


@dataclass(frozen=True)
class Source:
    kind: Kind
    link: str  # the interface by which it comes; '' for the host itself
    address: str  # its own; of the host: the one it asks
    about: str  # the network's name, the subnet, or the address as the rule has it
    to: str = ""  # the host's address that it asks when a port is on all of them


@dataclass(frozen=True)
class Target:
    """A port to try.  ``published``: a container behind it; otherwise a socket of the host itself."""

    host_ip: str
    port: int
    protocol: str
    published: bool = True

    @property
    def version(self) -> int:
        return 6 if ":" in self.host_ip else 4


@dataclass(frozen=True)
class Answer:
    """What became of it: with all rules, with the host's own alone, and with ours alone."""

    source: Source
    now: Outcome
    host_alone: Outcome
    ours_alone: Outcome


@dataclass(frozen=True)
class Report:
    answers: dict[Target, tuple[Answer, ...]]
    problems: tuple[str, ...]  # what could not be copied
    asks: bool  # whether the host's firewall is asked about published ports
    missing: bool  # somebody deleted our rules
    droppers: dict[Target, tuple[Table, ...]] = field(repr=False)  # tables of others that drop what is forwarded to it


_Planned = tuple[Target, Source, Try]


def examine(
    targets: Sequence[Target], containers: Mapping[str, str], networks: Mapping[str, str], own: Sequence[str]
) -> Report:
    """Try every target from everywhere.

    ``containers``: the bridge of each container's address; ``networks``: the name of each bridge's network; ``own``:
    names of our nftables tables, the one with the published ports first.  Raises PermissionError without root.
    """
    host = netcopy.snapshot()
    tables = firewall.read()
    ours = tuple(table for table in tables if table.family == "inet" and table.name in own)
    foreign = tuple(table for table in tables if table not in ours)
    sources = (*_here(host, networks, targets), *_sources(host, networks), *_named(host, networks, foreign))
    planned = [
        (target, source, Try(target.protocol, source.link, _own(source), destination, target.port))
        for target in targets
        for source in sources
        for destination in _destinations(target, source)
    ]
    asks = any("@admitted" in table.text for table in ours)
    problems: dict[str, None] = {}

    def outcomes(chosen: Sequence[Table], part: Sequence[_Planned]) -> list[Outcome]:
        result = trial.run(host, chosen, [one for _, _, one in part], containers, networks, again=asks)
        problems.update(dict.fromkeys(result.problems))
        return result.outcomes

    found: dict[Target, tuple[Answer, ...]] = dict.fromkeys(targets, ())
    dropped: list[_Planned] = []
    for start in range(0, len(planned), trial.MOST):
        part = planned[start : start + trial.MOST]
        columns = [outcomes(chosen, part) for chosen in (tables, foreign, ours)]
        for one, now, host_alone, ours_alone in zip(part, *columns, strict=True):
            found[one[0]] += (Answer(one[1], now, host_alone, ours_alone),)
            dropped += [one] if now is Outcome.FORWARD and ours_alone is Outcome.CONTAINER else []
    droppers = _droppers(tables, foreign, dropped[: trial.MOST], outcomes)
    missing = own[0] not in (table.name for table in ours)
    return Report(found, tuple(problems), asks, missing, droppers)


def _droppers(
    tables: Sequence[Table],
    foreign: Sequence[Table],
    dropped: Sequence[_Planned],
    outcomes: Callable[[Sequence[Table], Sequence[_Planned]], list[Outcome]],
) -> dict[Target, tuple[Table, ...]]:
    """Without which of them something comes through; all that could be it when none of them is it alone."""
    filters = [one for one in foreign if (one.name != "nat" if one.restore else "hook forward" in one.text)]
    filters = [one for one in filters if one.family != "ipset"]
    found: dict[Target, tuple[Table, ...]] = {}
    for table in filters if dropped else ():
        rest = [one for one in tables if one is not table]
        for (target, _, _), outcome in zip(dropped, outcomes(rest, dropped), strict=True):
            if outcome is Outcome.CONTAINER and table not in found.get(target, ()):
                found[target] = (*found.get(target, ()), table)
    return {target: found.get(target) or tuple(filters) for target, _, _ in dropped}


def _own(source: Source) -> str:
    return source.address if source.link else ""


def _destinations(target: Target, source: Source) -> list[str]:
    """The address that the source asks; none when it is of the other kind."""
    version = 6 if ":" in source.address else 4
    if version != target.version:
        return []
    if source.address == "::1" and target.published:
        return []  # the kernel takes no answers from containers for it
    if target.host_ip not in (ANY, "::"):
        return [target.host_ip] if source.link or source.address == target.host_ip else []
    return [source.to or source.address]


def _sources(host: Snapshot, networks: Mapping[str, str]) -> Iterator[Source]:
    """Containers of every network; a neighbour in every other subnet, and somebody from behind the default route."""
    seen = set()
    for address in host.addresses:
        inside = address.link in networks
        if not _counts(address) or address.link == "lo" or (_is_inside(address.link, networks) and not inside):
            continue
        subnet = str(ipaddress.ip_network(f"{address.text}/{address.prefix}", strict=False))
        other = _neighbour(host, address)
        if other:
            kind = Kind.CONTAINERS if inside else Kind.NEIGHBOUR
            about = networks[address.link] if inside else subnet
            yield Source(kind, address.link, other, about, address.text)
        if not inside and (address.link, address.family) not in seen:
            seen.add((address.link, address.family))
            if address.link in host.gateways(address.family):
                far = _ELSEWHERE[4 if ":" not in address.text else 6]
                yield Source(Kind.ELSEWHERE, address.link, far, "elsewhere", address.text)


def _is_inside(link: str, networks: Mapping[str, str]) -> bool:
    """Whether it is a bridge with containers, of another state root perhaps."""
    return link in networks or link.startswith(("lxcw", "lxn"))


def _counts(address: Address) -> bool:
    return not ipaddress.ip_address(address.text).is_link_local


def _here(host: Snapshot, networks: Mapping[str, str], targets: Sequence[Target]) -> Iterator[Source]:
    """The host itself asks 127.0.0.1, one of its other addresses, and those that a port is on."""
    asked = {"127.0.0.1": None, "::1": None}
    for version in (4, 6):
        outer = (
            item.text
            for item in host.addresses
            if _counts(item)
            and item.link not in networks
            and item.link != "lo"
            and (":" in item.text) == (version == 6)
        )
        asked.update(dict.fromkeys(list(outer)[:1]))
    asked.update(dict.fromkeys(target.host_ip for target in targets if target.host_ip not in (ANY, "::")))
    for text in asked:
        yield Source(Kind.HOST, "", text, "this host")


def _neighbour(host: Snapshot, address: Address) -> str:
    """An address of the same subnet that is not the host's; '' when there is no other."""
    network = ipaddress.ip_network(f"{address.text}/{address.prefix}", strict=False)
    taken = {other.text for other in host.addresses}
    size = network.num_addresses
    if size < 4:
        return next((str(one) for one in network if str(one) not in taken), "")
    middle = network.network_address + min(size // 2, 1 << 16)
    return next(text for text in (str(middle + step) for step in range(-1, size // 2)) if text not in taken)


def _named(host: Snapshot, networks: Mapping[str, str], foreign: Sequence[Table]) -> Iterator[Source]:
    """Addresses that rules name: somebody is let in, or kept out, by them."""
    texts = dict.fromkeys(text for table in foreign for text in _NAMED.findall(table.text))
    count = 0
    for text in texts:
        network = _network(text)
        if network is None or count == _MOST_NAMED:
            continue
        one = network.network_address + (1 if network.num_addresses > 2 else 0)
        link = host.way(str(one))
        to = next((item for item in host.addresses if item.link == link and _counts(item) and _same(item, one)), None)
        subnet = f"{to.text}/{to.prefix}" if to else ""
        if not to or link == "lo" or _is_inside(link, networks) or str(one) in (item.text for item in host.addresses):
            continue
        if ipaddress.ip_network(subnet, strict=False) != network:
            count += 1
            about = text.removesuffix("/32").removesuffix("/128")
            yield Source(Kind.NAMED, link, str(one), about, to.text)


def _same(address: Address, other: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (":" in address.text) == (other.version == 6)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    first = network.network_address
    strange = first.is_multicast or first.is_loopback or first.is_unspecified or first.is_link_local
    return None if strange or (first.version == 4 and int(first) >= 240 << 24) else network
