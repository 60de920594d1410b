"""Networks of the user's own: a row says what is wanted; bridge and rules are made when a container needs them."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import time
import zlib
from collections.abc import Iterator

from lxcwrap.errors import Conflict, NotFound
from lxcwrap.kernel import lock, netlink
from lxcwrap.model.network import OWN_SUBNET6, NetworkDefinition
from lxcwrap.model.paths import Paths
from lxcwrap.network import default, links, names, subnets
from lxcwrap.network.rules import Published
from lxcwrap.store.database import Store

_INET6 = socket.AF_INET6
_TABLE = """\
table inet {table} {{
    comment "{comment}"
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        {outward}
        oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
        {inward}
    }}
    # The network's names are for its own containers; the loopback net is for the host's processes.
    chain guard {{
        type filter hook prerouting priority raw; policy accept;
        iifname "{bridge}" ip daddr 127.0.0.0/8 drop
        iifname != {{ "{bridge}", "lo" }} ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport 53 drop
    }}
    # From elsewhere only answers and what is published come in.
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "{bridge}" oifname "{bridge}" accept
        {refused}
        oifname "{bridge}" ct state established,related accept
        oifname "{bridge}" ct status dnat accept
        {direct}
        oifname "{bridge}" drop
    }}
}}
"""


def listing(store: Store) -> tuple[NetworkDefinition, ...]:
    """All networks but the default one, by name."""
    rows = store.db.execute("SELECT config FROM networks WHERE name != ? ORDER BY name", (default.NAME,))
    return tuple(_definition(row["config"]) for row in rows)


def find(store: Store, name: str) -> NetworkDefinition | None:
    row = store.db.execute("SELECT config FROM networks WHERE name = ?", (name,)).fetchone()
    return _definition(row["config"]) if row else None


def get(store: Store, name: str) -> NetworkDefinition:
    """Raises NotFound."""
    found = find(store, name)
    if not found:
        raise NotFound(f"network {name} not found", hint="see: lxcwrap network ls")
    return found


def _definition(text: str) -> NetworkDefinition:
    return NetworkDefinition.from_json(json.loads(text))


def create(store: Store, wanted: NetworkDefinition) -> NetworkDefinition:
    """Make it known; an empty id, bridge, subnet, gateway and MTU are chosen here.  Raises Conflict."""
    identity = os.urandom(32).hex()
    with default.explained(store), lock.held(default.LOCK), netlink.Socket() as route:
        if is_child(wanted):
            links.prove(wanted)
        used = [] if is_child(wanted) and wanted.subnet else default.used_subnets(route, "")
        used += [ipaddress.IPv4Network(other.subnet) for other in listing(store)]
        given = [ipaddress.IPv4Network(wanted.subnet)] if wanted.subnet else list(subnets.own_candidates(store.paths))
        subnet = _choose(wanted, given, used)
        plain = wanted.to_json() | {
            "id": identity,
            "bridge": "" if is_child(wanted) else wanted.bridge or f"lxn{identity[:12]}",
            "subnet": str(subnet),
            "gateway": wanted.gateway or ("" if _has_no_gateway(wanted) else str(subnet.network_address + 1)),
            "mtu": wanted.mtu or (0 if is_child(wanted) else default.default_mtu(route)),
            **_choose6(store, route, wanted),
        }
        definition = _definition(json.dumps(plain))
        _check_bridge(store, wanted.bridge)
        with store.transaction() as db:
            if db.execute("SELECT 1 FROM networks WHERE name = ?", (definition.name,)).fetchone():
                raise Conflict(f"network with name {definition.name} already exists", hint="see: lxcwrap network ls")
            db.execute(
                "INSERT INTO networks VALUES (?, ?, ?, ?, ?)",
                (definition.id, definition.name, definition.driver, json.dumps(definition.to_json()), time.time()),
            )
    return definition


def _choose(
    wanted: NetworkDefinition, given: list[ipaddress.IPv4Network], used: list[ipaddress.IPv4Network]
) -> ipaddress.IPv4Network:
    if wanted.subnet and any(given[0].overlaps(other) for other in used):
        raise Conflict(
            f"subnet {wanted.subnet} overlaps another network, a route or a name server of this host",
            hint="choose another --subnet; 'ip route' shows what the host uses",
        )
    return subnets.choose(given, used)


def _choose6(store: Store, route: netlink.Socket, wanted: NetworkDefinition) -> dict[str, str]:
    """Subnet and gateway of IPv6, if it is wanted."""
    if not wanted.subnet6:
        return {}
    from lxcwrap.network import ipv6

    ipv6.check()
    if wanted.subnet6 == OWN_SUBNET6:
        subnet = subnets.unique_local()
    else:
        subnet = ipaddress.IPv6Network(wanted.subnet6)
        routes = () if is_child(wanted) else netlink.routes(route, _INET6)
        used = [ipaddress.IPv6Network((address, prefix)) for address, prefix, _ in routes if prefix]
        used += [ipaddress.IPv6Network(other.subnet6) for other in listing(store) if other.subnet6]
        if any(subnet.overlaps(other) for other in used):
            raise Conflict(
                f"subnet {subnet} overlaps another network or a route of this host",
                hint="choose another --subnet; 'ip -6 route' shows what the host uses",
            )
    return {
        "subnet6": str(subnet),
        "gateway6": wanted.gateway6 or ("" if _has_no_gateway(wanted) else str(subnet[1])),
    }


def is_child(definition: NetworkDefinition) -> bool:
    """Whether its containers are where an interface of the host is: there is no bridge of it, nor rules."""
    return definition.driver != "bridge"


def _has_no_gateway(definition: NetworkDefinition) -> bool:
    return is_child(definition) and (definition.internal or definition.mode in ("l3", "l3s"))


def _check_bridge(store: Store, name: str) -> None:
    taken = os.path.exists(f"/sys/class/net/{name}") or name in (other.bridge for other in listing(store))
    if name and (taken or name == store.paths.bridge):
        raise Conflict(f"the interface {name} exists already", hint="choose another com.docker.network.bridge.name")


def table(paths: Paths, definition: NetworkDefinition) -> str:
    """The name of the network's own nftables table."""
    return f"{paths.nft_table}_{definition.id[:12]}"


def ensure(store: Store, name: str) -> NetworkDefinition:
    """Make bridge and rules if one is missing.  Raises NotFound, and as ``default.ensure``."""
    definition = get(store, name)
    if is_child(definition):
        links.check_parent(definition)
        return definition
    own = table(store.paths, definition)
    if default.is_in_place(definition, own, _comment(definition)):
        return definition
    with default.explained(store), lock.held(default.LOCK):
        definition = get(store, name)  # it may have been removed while we waited
        with netlink.Socket() as route:
            _check_still_free(route, definition)
            default.make_bridge(route, definition)
        default.apply_rules(ruleset(own, definition, default.published(store)))
        default.renew(store)
    return definition


def _check_still_free(route: netlink.Socket, definition: NetworkDefinition) -> None:
    """Its bridge may be made long after the network was.  A wider route yields to it.  Raises Conflict."""
    subnet = ipaddress.IPv4Network(definition.subnet)
    for destination, prefix, index in netlink.routes(route):
        if prefix >= subnet.prefixlen and subnet.overlaps(ipaddress.IPv4Network((destination, prefix))):
            name = netlink.link_name(index)
            if name != definition.bridge:
                raise Conflict(
                    f"network {definition.name}: its subnet {subnet} is in use by the interface {name} now",
                    hint="remove the network and create it anew",
                    exit_code=125,
                )


def open_directly(store: Store, definition: NetworkDefinition) -> None:
    """What is published on a routed network is reached by the container's own address too.  Raises as ``ensure``."""
    if not is_child(definition) and (definition.routed or definition.routed6):
        with default.explained(store), lock.held(default.LOCK):
            own = table(store.paths, definition)
            default.apply_rules(ruleset(own, definition, default.published(store)))


def ruleset(own: str, definition: NetworkDefinition, published: tuple[Published, ...] = ()) -> str:
    """nft commands that replace the network's table, in one transaction; connections that are open stay so."""
    bridge, refused = definition.bridge, ""
    subnets_ = [("ip", definition.subnet, definition.routed)]
    if definition.subnet6:
        subnets_.append(("ip6", definition.subnet6, definition.routed6))
    inward = [f'oifname "{bridge}" {family} saddr {subnet} ct status dnat masquerade' for family, subnet, _ in subnets_]
    outward = [
        f'{family} saddr {subnet} oifname != "{bridge}" masquerade' for family, subnet, routed in subnets_ if not routed
    ]
    if definition.internal:
        refused, outward = f'iifname "{bridge}" drop\n        oifname "{bridge}" drop', []
    body = _TABLE.format(
        table=own,
        comment=_comment(definition),
        subnet=definition.subnet,
        bridge=bridge,
        gateway=definition.gateway,
        outward="\n        ".join(outward),
        inward="\n        ".join(inward),
        direct="\n        ".join(_direct(definition, published)),
        refused=refused,
    )
    return f"table inet {own}\ndelete table inet {own}\n{body}"


def _direct(definition: NetworkDefinition, published: tuple[Published, ...]) -> Iterator[str]:
    """Rules that let others come to what is published of a routed subnet."""
    routed = (("ip", definition.subnet, definition.routed), ("ip6", definition.subnet6, definition.routed6))
    for family, subnet, is_routed in routed:
        inside = ipaddress.ip_network(subnet) if subnet and is_routed and not definition.internal else ()
        open_ = {
            f"{port.address} . {port.protocol} . {port.container_port}"
            for port in published
            if inside and ipaddress.ip_address(port.address) in inside
        }
        if open_:
            listed = ", ".join(sorted(open_))
            yield f'oifname "{definition.bridge}" {family} daddr . meta l4proto . th dport {{ {listed} }} accept'


def _comment(definition: NetworkDefinition) -> str:
    text = f"{_TABLE}{definition.subnet}{definition.gateway}{definition.bridge}{definition.internal}"
    text += f"{definition.subnet6}{definition.routed}{definition.routed6}"
    return f"lxcwrap {zlib.crc32(text.encode()):08x}"


def remove(store: Store, definition: NetworkDefinition) -> None:
    """Take all of it away, the row last: what is left of an interrupted removal can be removed again.

    The caller has seen that no container runs on it.
    """
    own = table(store.paths, definition)
    with default.explained(store), lock.held(default.LOCK):
        names.stop(store.paths, definition.id)
        if not is_child(definition):
            default.apply_rules(f"table inet {own}\ndelete table inet {own}\n")
            _delete_bridge(definition.bridge)
        with store.transaction(removing=True) as db:
            db.execute("DELETE FROM leases WHERE network_id = ?", (definition.id,))
            db.execute("DELETE FROM leases6 WHERE network_id = ?", (definition.id,))
            db.execute("DELETE FROM networks WHERE id = ?", (definition.id,))
    shutil.rmtree(names.place(store.paths, definition.id), ignore_errors=True)


def _delete_bridge(name: str) -> None:
    try:
        with netlink.Socket() as route:
            netlink.delete_link(route, socket.if_nametoindex(name))
    except PermissionError:
        raise
    except OSError:
        pass  # it was never made, or a removal that was interrupted took it
