"""Networks as users see them."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

from lxcwrap.errors import NotFound
from lxcwrap.model.godata import GoMap
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.network import default
from lxcwrap.store.database import Store

_BUILT_IN = ("host", "none")  # modes that can be named like networks; nothing is stored of them


def listing(store: Store) -> list[dict[str, Any]]:
    """All networks by name, as ``network ls`` shows them."""
    rows = [_row(name, _id_of(store, name)) for name in (default.NAME, *_BUILT_IN)]
    return sorted(rows, key=lambda row: str(row["Name"]))


def _row(name: str, network_id: str) -> dict[str, Any]:
    driver = {"none": "null"}.get(name, name)
    return {
        "ID": network_id[:12],
        "Name": name,
        "Driver": driver,
        "Scope": "local",
        "IPv4": "true",
        "IPv6": "false",
        "Internal": "false",
        "Labels": "",
        "FullID": network_id,
    }


def _id_of(store: Store, name: str) -> str:
    """The stored ID; of what is not stored (yet) one that follows from the state root and the name."""
    import hashlib

    definition = default.find(store) if name == default.NAME else None
    return definition.id if definition else hashlib.sha256(f"{store.paths.root}:{name}".encode()).hexdigest()


def resolve(store: Store, text: str) -> str:
    """A network's name, by name or prefix of its ID.  Raises NotFound."""
    names = (default.NAME, *_BUILT_IN)
    if text in names:
        return text
    for name in names:
        if text and _id_of(store, name).startswith(text):
            return name
    raise NotFound(f"no such network: {text}", hint="see: lxcwrap network ls")


def inspect(store: Store, text: str) -> dict[str, Any]:
    """The document that ``network inspect`` prints, in Docker's field names.  Raises NotFound."""
    name = resolve(store, text)
    definition = default.find(store) if name == default.NAME else None
    row = _row(name, _id_of(store, name))
    return {
        "Name": name,
        "Id": row["FullID"],
        "Created": _created(store, name),
        "Scope": "local",
        "Driver": row["Driver"],
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": _ranges(definition)},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "Containers": GoMap(_containers(store, definition) if definition else {}),
        "Options": GoMap(_options(definition) if definition else {}),
        "Labels": GoMap(),
    }


def _created(store: Store, name: str) -> str:
    row = store.db.execute("SELECT created FROM networks WHERE name = ?", (name,)).fetchone()
    if not row:
        return "0001-01-01T00:00:00Z"
    return datetime.datetime.fromtimestamp(row["created"], datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def _ranges(definition: NetworkDefinition | None) -> list[dict[str, str]]:
    return [{"Subnet": definition.subnet, "Gateway": definition.gateway}] if definition else []


def _options(definition: NetworkDefinition) -> dict[str, str]:
    return {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.name": definition.bridge,
        "com.docker.network.driver.mtu": str(definition.mtu),
    }


def _containers(store: Store, definition: NetworkDefinition) -> dict[str, Any]:
    """The running containers on the network."""
    from lxcwrap.runtime import state

    rows = store.db.execute(
        """
        SELECT c.id, c.name, l.address, l.mac FROM leases l JOIN containers c ON c.id = l.container_id
        WHERE l.network_id = ? ORDER BY l.address
        """,
        (definition.id,),
    ).fetchall()
    return {
        row["id"]: {
            "Name": row["name"],
            "EndpointID": "",
            "MacAddress": row["mac"],
            "IPv4Address": f"{ipaddress.IPv4Address(row['address'])}/{definition.prefix}",
            "IPv6Address": "",
        }
        for row in rows
        if state.read(store.paths, row["id"]).live
    }
