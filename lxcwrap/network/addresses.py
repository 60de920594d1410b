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
    with store.transaction(removing=True) as db:
        for table in ("leases", "leases6"):
            db.execute(f"DELETE FROM {table} WHERE network_id = ? AND container_id = ?", (network_id, container_id))


def _held(store: Store, network_id: str, container_id: str) -> tuple[int, str] | None:
    row = store.db.execute(
        "SELECT address, mac FROM leases WHERE network_id = ? AND container_id = ?", (network_id, container_id)
    ).fetchone()
    return (row["address"], row["mac"]) if row else None


def _check_free(store: Store, definition: NetworkDefinition, table: str, address: int | str, flag: str) -> None:
    """Raises Conflict when another container has the address, as the table has it, that ``flag`` asks for."""
    holder = store.db.execute(
        f"""
        SELECT c.name FROM {table} l JOIN containers c ON c.id = l.container_id
        WHERE l.network_id = ? AND l.address = ?
        """,
        (definition.id, address),
    ).fetchone()
    if holder:
        shown = ipaddress.ip_address(address)
        raise Conflict(
            f"address {shown} of network {definition.name} is container {holder['name']}'s",
            hint=f"choose another {flag}, or remove that container",
            exit_code=125,
        )


def _asked(store: Store, definition: NetworkDefinition, wanted: str) -> int:
    """The address that the user named; inside the transaction that takes it."""
    address = check_inside(definition, wanted)
    _check_free(store, definition, "leases", int(address), "--ip")
    return int(address)


def lease6(store: Store, definition: NetworkDefinition, container_id: str, address: str, wanted: str = "") -> str:
    """The same of IPv6: as far from the subnet's beginning as the IPv4 ``address``, where that is free.

    '' on a network that has no IPv6.  Raises Conflict or UsageError.
    """
    if not definition.subnet6:
        if wanted:
            raise UsageError(f"--ip6 {wanted}: network {definition.name} has no IPv6", hint="it is made with --ipv6")
        return ""
    key = (definition.id, container_id)
    query = "SELECT address FROM leases6 WHERE network_id = ? AND container_id = ?"
    row = store.db.execute(query, key).fetchone()
    if not row:
        with store.transaction() as db:
            row = store.db.execute(query, key).fetchone()
            if not row:
                chosen = _asked6(store, definition, wanted) if wanted else _free6(store, definition, address)
                row = {"address": chosen}
                db.execute("INSERT INTO leases6 VALUES (?, ?, ?)", (definition.id, chosen, container_id))
    return str(row["address"])


def _asked6(store: Store, definition: NetworkDefinition, wanted: str) -> str:
    address, subnet = ipaddress.IPv6Address(wanted), ipaddress.IPv6Network(definition.subnet6)
    if address not in subnet or address == subnet.network_address:
        raise UsageError(f"address {wanted} is not one of network {definition.name} ({definition.subnet6})")
    if str(address) == definition.gateway6:
        raise UsageError(f"address {wanted} is the gateway of network {definition.name}")
    _check_free(store, definition, "leases6", str(address), "--ip6")
    return str(address)


def _free6(store: Store, definition: NetworkDefinition, address: str) -> str:
    """Inside the transaction that takes it."""
    part = ipaddress.IPv6Network(definition.ip_range6 or definition.subnet6)
    rows = store.db.execute("SELECT address FROM leases6 WHERE network_id = ?", (definition.id,))
    taken = {row["address"] for row in rows} | {definition.gateway6, str(part.network_address)}
    taken |= {item for _, item in definition.reserved}
    distance = int(ipaddress.IPv4Address(address)) - int(ipaddress.IPv4Network(definition.subnet).network_address)
    for number in range(part.num_addresses):
        found = str(part[(distance + number) % part.num_addresses])
        if found not in taken:
            return found
    raise Conflict(
        f"network {definition.name} has no free address left in {part}",
        hint="remove containers that are not needed, or make a network with a larger subnet",
    )


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
    kept = [int(ipaddress.IPv4Address(address)) for _, address in definition.reserved if ":" not in address]
    kept += [int(ipaddress.IPv4Address(definition.gateway))] if definition.gateway else []
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
        SELECT n.name, n.config, l.address, l6.address AS address6 FROM leases l JOIN networks n ON n.id = l.network_id
        LEFT JOIN leases6 l6 ON l6.network_id = l.network_id AND l6.container_id = l.container_id
        WHERE l.container_id = ?
        """,
        (container_id,),
    )
    known = {row["name"]: (NetworkDefinition.from_json(json.loads(row["config"])), row) for row in rows}
    text = store.db.execute("SELECT config FROM containers WHERE id = ?", (container_id,)).fetchone()["config"]
    config = NetworkConfig.from_json(json.loads(text).get("network", {}))
    links = [known[item.name] for item in config.attachments if item.name in known]
    out = [row for definition, row in links if not definition.internal]
    address6 = next((str(row["address6"]) for row in out if row["address6"]), "")
    return (str(ipaddress.IPv4Address(out[0]["address"])) if out else "", address6)
