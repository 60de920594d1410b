"""Networks as plain data: what one is, what a container gets of it, and what network.yaml may say."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from typing import Any

from lxcwrap.errors import UsageError
from lxcwrap.model.record import Record

ANY, ANY6 = "0.0.0.0", "::"
OWN, HONOUR = "own", "honour"  # who decides about published ports: our rules alone, or the host's firewall too
OWN_SUBNET6 = f"{ANY6}/0"  # of a definition that is to be made: a /64 that is yet to be chosen


@dataclass(frozen=True)
class NetworkDefinition(Record):
    """A network (``internal``: without a way out).  Stored as JSON in the networks table."""

    id: str  # 64 hex digits
    name: str
    bridge: str  # the interface
    subnet: str  # 10.99.0.0/16
    gateway: str  # the bridge's own address
    mtu: int  # bytes
    ip_range: str = ""  # the part of the subnet that addresses are chosen from; '' is all of it
    reserved: tuple[tuple[str, str], ...] = ()  # name and address: --aux-address, never given to a container
    internal: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()  # as the user gave them with -o
    driver: str = "bridge"  # or macvlan, ipvlan: then ``bridge`` is '' and the gateway another machine's
    subnet6: str = ""  # '' is no IPv6
    gateway6: str = ""
    ip_range6: str = ""
    routed: bool = False  # IPv4 goes out with the containers' own addresses
    routed6: bool = False
    parent: str = ""  # of macvlan and ipvlan: the host's interface
    mode: str = ""  # of macvlan and ipvlan

    @property
    def prefix(self) -> int:
        return int(self.subnet.partition("/")[2])

    @property
    def prefix6(self) -> int:
        return int(self.subnet6.partition("/")[2])


def endpoint_id(container_id: str, network_id: str) -> str:
    """Docker's name for a container on a network: the same as long as it is on it."""
    from lxcwrap.model.digest import sha256

    return sha256(f"{container_id}{network_id}".encode())


@dataclass(frozen=True)
class NetworkPlan:
    """What a container starts with.  ``config_items`` are liblxc's; ``hosts`` and ``resolv_conf`` are files' contents.

    ``join`` is the container whose network namespace is shared ('' for none): the runtime knows its process.
    ``address`` and ``address6`` are those by which others come in.  ``inside`` is what liblxc cannot do in the
    namespace, for runtime.inside; None for nothing.
    """

    config_items: tuple[tuple[str, str], ...]
    address: str = ""
    gateway: str = ""
    mac: str = ""
    hosts: str = ""
    resolv_conf: str = ""
    join: str = ""
    address6: str = ""
    inside: dict[str, Any] | None = None


@dataclass(frozen=True)
class NetworkSettings(Record):
    """/etc/lxcwrap/network.yaml; '' , 0 and () leave the choice to lxcwrap."""

    subnet: str = ""  # of the default bridge
    bind: str = ANY  # where -p listens when it names no address
    mtu: int = 0
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    firewall: str = OWN
    firewall_recheck: int = 60  # seconds that the host's firewall is not asked again about one client and port


def parse_settings(plain: Any, where: str) -> NetworkSettings:
    """The settings in ``plain`` (as YAML gives them) of the file ``where``.  Raises UsageError."""
    if plain is None:
        return NetworkSettings()
    if not isinstance(plain, dict):
        raise _wrong(where, "it is not a mapping")
    known = [field.name for field in fields(NetworkSettings)]
    for key in plain:
        if key not in known:
            raise _wrong(where, f"unknown key {key!r} (known: {', '.join(known)})")
    lists: dict[str, Any] = {
        key: _texts(plain[key], key, where) for key in ("dns", "dns_search", "dns_options") if key in plain
    }
    if "subnet" in plain:
        check_subnet(str(plain["subnet"]), where)
    for address in (*lists.get("dns", ()), str(plain.get("bind", ANY))):
        check_address(address, where)
    mtu = plain.get("mtu", 0)
    if not isinstance(mtu, int) or not (mtu == 0 or 576 <= mtu <= 65535):
        raise _wrong(where, f"mtu {mtu!r} is not between 576 and 65535")
    asked = _firewall(plain, where)
    return NetworkSettings(
        subnet=str(plain.get("subnet", "")), bind=str(plain.get("bind", ANY)), mtu=mtu, **lists, **asked
    )


def _firewall(plain: dict[str, Any], where: str) -> dict[str, Any]:
    mode, recheck = plain.get("firewall", OWN), plain.get("firewall_recheck", NetworkSettings.firewall_recheck)
    if mode not in (OWN, HONOUR):
        raise _wrong(where, f"firewall {mode!r:.40} is neither {OWN} nor {HONOUR}")
    if not isinstance(recheck, int) or isinstance(recheck, bool) or not 2 <= recheck <= 86400:
        raise _wrong(where, f"firewall_recheck {recheck!r:.40} is not a number of seconds between 2 and 86400")
    return {"firewall": mode, "firewall_recheck": recheck}


def _texts(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(where, f"{key} is not a list of texts")
    return tuple(value)


def check_subnet(text: str, where: str) -> ipaddress.IPv4Network:
    """An IPv4 subnet with room for containers.  Raises UsageError."""
    try:
        subnet = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise _wrong(where, f"subnet {text!r:.60}: {error}") from None
    if not 8 <= subnet.prefixlen <= 28:
        raise _wrong(where, f"subnet {text} must be between a /8 and a /28")
    return subnet


def check_address(text: str, where: str) -> str:
    """An IP address.  Raises UsageError."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise _wrong(where, f"{text!r:.60} is not an IP address") from None
    return text


def _wrong(where: str, what: str) -> UsageError:
    return UsageError(f"{where}: {what}", exit_code=1)
