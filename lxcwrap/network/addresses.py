"""Addresses on a network: one holder each, leased until the container is removed."""

from __future__ import annotations

import ipaddress

from lxcwrap.errors import Conflict
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.store.database import Store

_STEPS_SHARE = 8  # one in so many addresses, at the end, is kept for build steps
_STEPS_MOST = 1024


def lease(store: Store, definition: NetworkDefinition, container_id: str, mac: str = "") -> tuple[str, str]:
    """The container's address and MAC address, the same until it is removed.  Raises Conflict when all are taken."""
    row = _held(store, definition.id, container_id)
    if not row:
        with store.transaction() as db:
            row = _held(store, definition.id, container_id)
            if not row:
                address = _free(store, definition)
                row = (address, mac or mac_of(address))
                db.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (definition.id, address, container_id, row[1]))
    return str(ipaddress.IPv4Address(row[0])), row[1]


def _held(store: Store, network_id: str, container_id: str) -> tuple[int, str] | None:
    row = store.db.execute(
        "SELECT address, mac FROM leases WHERE network_id = ? AND container_id = ?", (network_id, container_id)
    ).fetchone()
    return (row["address"], row["mac"]) if row else None


def _free(store: Store, definition: NetworkDefinition) -> int:
    """The lowest address that nobody holds; inside the transaction that takes it."""
    subnet = ipaddress.IPv4Network(definition.subnet)
    first = int(subnet.network_address) + 2  # after the gateway
    row = store.db.execute(
        """
        SELECT MIN(candidate) AS address FROM (
            SELECT :first AS candidate
            UNION ALL SELECT address + 1 FROM leases WHERE network_id = :network
        ) WHERE candidate NOT IN (SELECT address FROM leases WHERE network_id = :network)
            AND candidate >= :first AND candidate < :end
        """,
        {"first": first, "network": definition.id, "end": int(step_addresses(definition)[0])},
    ).fetchone()
    if row["address"] is None:
        raise Conflict(
            f"network {definition.name} has no free address left in {definition.subnet}",
            hint="remove containers that are not needed, or set a larger subnet in /etc/lxcwrap/network.yaml",
        )
    return int(row["address"])


def step_addresses(definition: NetworkDefinition) -> tuple[ipaddress.IPv4Address, ...]:
    """The addresses at the end of the subnet that build steps use; no container is leased one."""
    subnet = ipaddress.IPv4Network(definition.subnet)
    count = min(subnet.num_addresses // _STEPS_SHARE, _STEPS_MOST)
    last = int(subnet.broadcast_address)
    return tuple(ipaddress.IPv4Address(number) for number in range(last - count, last))


def mac_of(address: int) -> str:
    """A MAC address that follows from the IPv4 address: nobody's ARP cache is ever wrong."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in address.to_bytes(4, "big"))
