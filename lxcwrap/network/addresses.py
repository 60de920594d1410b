"""Addresses on a network: one holder each, leased until the container is removed."""

from __future__ import annotations

import ipaddress
import json

from lxcwrap.errors import Conflict, UsageError
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.store.database import Store

_STEPS_SHARE = 8  # one in so many addresses, at the end, is kept for build steps
_STEPS_MOST = 1024


def lease(
    store: Store, definition: NetworkDefinition, container_id: str, mac: str = "", wanted: str = ""
) -> tuple[str, str]:
    """The container's address and MAC address, the same until it is removed; ``wanted`` is the address asked for.

    Raises Conflict when it, or every address, is taken.
    """
    row = _held(store, definition.id, container_id)
    if not row:
        with store.transaction() as db:
            row = _held(store, definition.id, container_id)
            if not row:
                address = _asked(store, definition, wanted) if wanted else _free(store, definition)
                row = (address, mac or mac_of(address))
                db.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (definition.id, address, container_id, row[1]))
    return str(ipaddress.IPv4Address(row[0])), row[1]


def release(store: Store, network_id: str, container_id: str) -> None:
    """The container is on the network no longer."""
    with store.transaction() as db:
        db.execute("DELETE FROM leases WHERE network_id = ? AND container_id = ?", (network_id, container_id))


def _held(store: Store, network_id: str, container_id: str) -> tuple[int, str] | None:
    row = store.db.execute(
        "SELECT address, mac FROM leases WHERE network_id = ? AND container_id = ?", (network_id, container_id)
    ).fetchone()
    return (row["address"], row["mac"]) if row else None


def _asked(store: Store, definition: NetworkDefinition, wanted: str) -> int:
    """The address that the user named; inside the transaction that takes it."""
    address = check_inside(definition, wanted)
    holder = store.db.execute(
        """
        SELECT c.name FROM leases l JOIN containers c ON c.id = l.container_id
        WHERE l.network_id = ? AND l.address = ?
        """,
        (definition.id, int(address)),
    ).fetchone()
    if holder:
        raise Conflict(
            f"address {wanted} of network {definition.name} is container {holder['name']}'s",
            hint="choose another --ip, or remove that container",
            exit_code=125,
        )
    return int(address)


def check_inside(definition: NetworkDefinition, text: str) -> ipaddress.IPv4Address:
    """An address that a container may have on the network.  Raises UsageError."""
    address, subnet = ipaddress.IPv4Address(text), ipaddress.IPv4Network(definition.subnet)
    if address not in subnet or address in (subnet.network_address, subnet.broadcast_address):
        raise UsageError(f"address {text} is not one of network {definition.name} ({definition.subnet})")
    if text == definition.gateway:
        raise UsageError(f"address {text} is the gateway of network {definition.name}")
    return address


def _free(store: Store, definition: NetworkDefinition) -> int:
    """The lowest address that nobody holds; inside the transaction that takes it."""
    first, end = _bounds(definition)
    kept = [int(ipaddress.IPv4Address(address)) for _, address in definition.reserved]
    kept.append(int(ipaddress.IPv4Address(definition.gateway)))
    row = store.db.execute(
        """
        SELECT MIN(candidate) AS address FROM (
            SELECT :first AS candidate
            UNION ALL SELECT address + 1 FROM leases WHERE network_id = :network
            UNION ALL SELECT value + 1 FROM json_each(:kept)
        ) WHERE candidate NOT IN (SELECT address FROM leases WHERE network_id = :network)
            AND candidate NOT IN (SELECT value FROM json_each(:kept))
            AND candidate >= :first AND candidate < :end
        """,
        {"first": first, "network": definition.id, "end": end, "kept": json.dumps(kept)},
    ).fetchone()
    if row["address"] is None:
        raise Conflict(
            f"network {definition.name} has no free address left in {definition.subnet}",
            hint="remove containers that are not needed, or set a larger subnet in /etc/lxcwrap/network.yaml",
        )
    return int(row["address"])


def _bounds(definition: NetworkDefinition) -> tuple[int, int]:
    """The first address that containers get, and the one after the last."""
    subnet = ipaddress.IPv4Network(definition.subnet)
    if definition.name == "bridge":  # build steps are on it too; the first is the gateway
        return int(subnet.network_address) + 2, int(step_addresses(definition)[0])
    part = ipaddress.IPv4Network(definition.ip_range or definition.subnet)
    first = max(int(part.network_address), int(subnet.network_address) + 1)
    return first, min(int(part.broadcast_address) + 1, int(subnet.broadcast_address))


def step_addresses(definition: NetworkDefinition) -> tuple[ipaddress.IPv4Address, ...]:
    """The addresses at the end of the subnet that build steps use; no container is leased one."""
    subnet = ipaddress.IPv4Network(definition.subnet)
    count = min(subnet.num_addresses // _STEPS_SHARE, _STEPS_MOST)
    last = int(subnet.broadcast_address)
    return tuple(ipaddress.IPv4Address(number) for number in range(last - count, last))


def mac_of(address: int) -> str:
    """A MAC address that follows from the IPv4 address: nobody's ARP cache is ever wrong."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in address.to_bytes(4, "big"))


def way_in(store: Store, container_id: str) -> tuple[str, str]:
    """The container's IPv4 and IPv6 address on the networks by which it goes out; '' for none."""
    from lxcwrap.model.container import NetworkConfig

    rows = store.db.execute(
        """
        SELECT n.name, n.config, l.address FROM leases l JOIN networks n ON n.id = l.network_id
        WHERE l.container_id = ?
        """,
        (container_id,),
    )
    known = {row["name"]: (NetworkDefinition.from_json(json.loads(row["config"])), row["address"]) for row in rows}
    text = store.db.execute("SELECT config FROM containers WHERE id = ?", (container_id,)).fetchone()["config"]
    config = NetworkConfig.from_json(json.loads(text).get("network", {}))
    links = [known[item.name] for item in config.attachments if item.name in known]
    out = [address for definition, address in links if not definition.internal]
    return (str(ipaddress.IPv4Address(out[0])) if out else "", "")
