"""Networks of the user's own: a row says what is wanted; bridge and rules are made when a container needs them."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import time
import zlib

from lxcwrap.errors import Conflict, NotFound
from lxcwrap.kernel import lock, netlink
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.model.paths import Paths
from lxcwrap.network import default, names, subnets
from lxcwrap.store.database import Store

_TABLE = """\
table inet {table} {{
    comment "{comment}"
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        {outward}
        oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
        oifname "{bridge}" ip saddr {subnet} ct status dnat masquerade
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
        used = default.used_subnets(route, "")
        used += [ipaddress.IPv4Network(other.subnet) for other in listing(store)]
        given = [ipaddress.IPv4Network(wanted.subnet)] if wanted.subnet else list(subnets.own_candidates())
        subnet = _choose(wanted, given, used)
        plain = wanted.to_json() | {
            "id": identity,
            "bridge": wanted.bridge or f"lxn{identity[:12]}",
            "subnet": str(subnet),
            "gateway": wanted.gateway or str(subnet.network_address + 1),
            "mtu": wanted.mtu or default.default_mtu(route),
        }
        definition = _definition(json.dumps(plain))
        _check_bridge(store, wanted.bridge)
        with store.transaction() as db:
            if db.execute("SELECT 1 FROM networks WHERE name = ?", (definition.name,)).fetchone():
                raise Conflict(f"network with name {definition.name} already exists", hint="see: lxcwrap network ls")
            db.execute(
                "INSERT INTO networks VALUES (?, ?, 'bridge', ?, ?)",
                (definition.id, definition.name, json.dumps(definition.to_json()), time.time()),
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
    own = table(store.paths, definition)
    if default.is_in_place(definition, own, _comment(definition)):
        return definition
    with default.explained(store), lock.held(default.LOCK):
        definition = get(store, name)  # it may have been removed while we waited
        with netlink.Socket() as route:
            default.make_bridge(route, definition)
        default.apply_rules(ruleset(own, definition))
    return definition


def ruleset(own: str, definition: NetworkDefinition) -> str:
    """nft commands that replace the network's table, in one transaction."""
    bridge, outward, refused = definition.bridge, "", ""
    if definition.internal:
        refused = f'iifname "{bridge}" drop\n        oifname "{bridge}" drop'
    else:
        outward = f'ip saddr {definition.subnet} oifname != "{bridge}" masquerade'
    body = _TABLE.format(
        table=own,
        comment=_comment(definition),
        subnet=definition.subnet,
        bridge=bridge,
        gateway=definition.gateway,
        outward=outward,
        refused=refused,
    )
    return f"table inet {own}\ndelete table inet {own}\n{body}"


def _comment(definition: NetworkDefinition) -> str:
    text = f"{_TABLE}{definition.subnet}{definition.gateway}{definition.bridge}{definition.internal}"
    return f"lxcwrap {zlib.crc32(text.encode()):08x}"


def remove(store: Store, definition: NetworkDefinition) -> None:
    """Take all of it away, the row last: what is left of an interrupted removal can be removed again.

    The caller has seen that no container runs on it.
    """
    own = table(store.paths, definition)
    with default.explained(store), lock.held(default.LOCK):
        names.stop(store.paths, definition.id)
        default.apply_rules(f"table inet {own}\ndelete table inet {own}\n")
        _delete_bridge(definition.bridge)
        with store.transaction(removing=True) as db:
            db.execute("DELETE FROM leases WHERE network_id = ?", (definition.id,))
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
