"""Networks as users see them."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Mapping
from typing import Any

from lxcwrap.errors import Conflict, NotFound
from lxcwrap.model.godata import GoMap
from lxcwrap.model.network import NetworkDefinition, endpoint_id
from lxcwrap.network import default, user
from lxcwrap.store.database import Store

_BUILT_IN = ("host", "none")  # modes that can be named like networks; nothing is stored of them


def listing(store: Store) -> list[dict[str, Any]]:
    """All networks by name, as ``network ls`` shows them."""
    rows = [_row(name, _id_of(store, name)) for name in (default.NAME, *_BUILT_IN)]
    rows += [_row(own.name, own.id, own) for own in user.listing(store)]
    return sorted(rows, key=lambda row: str(row["Name"]))


FILTERS = ("driver", "id", "label", "name", "type")


def select(store: Store, filters: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    """The networks that fit."""
    from lxcwrap.model.selection import labels_match

    built_in = (default.NAME, *_BUILT_IN)
    return [
        row
        for row in listing(store)
        if ("driver" not in filters or row["Driver"] in filters["driver"])
        and ("name" not in filters or any(part in row["Name"] for part in filters["name"]))
        and ("id" not in filters or any(row["FullID"].startswith(part) for part in filters["id"]))
        and ("type" not in filters or ("builtin" if row["Name"] in built_in else "custom") in filters["type"])
        and labels_match(filters.get("label", ()), _labels(store, row["Name"]))
    ]


def _labels(store: Store, name: str) -> dict[str, str]:
    definition = user.find(store, name)
    return dict(definition.labels) if definition else {}


def _row(name: str, network_id: str, own: NetworkDefinition | None = None) -> dict[str, Any]:
    driver = own.driver if own else {"none": "null"}.get(name, name)
    labels = dict(own.labels) if own else {}
    return {
        "ID": network_id[:12],
        "Name": name,
        "Driver": driver,
        "Scope": "local",
        "IPv4": "true",
        "IPv6": "true" if own and own.subnet6 else "false",
        "Internal": "true" if own and own.internal else "false",
        "Labels": ",".join(f"{key}={value}" for key, value in labels.items()),
        "Label": lambda key: labels.get(key, ""),
        "FullID": network_id,
    }


def _id_of(store: Store, name: str) -> str:
    """The stored ID; of what is not stored (yet) one that follows from the state root and the name."""
    import hashlib

    definition = user.find(store, name)
    return definition.id if definition else hashlib.sha256(f"{store.paths.root}:{name}".encode()).hexdigest()


def resolve(store: Store, text: str) -> str:
    """A network's name, by name or prefix of its ID.  Raises NotFound."""
    names = (default.NAME, *_BUILT_IN, *(own.name for own in user.listing(store)))
    if text in names:
        return text
    found = [name for name in names if text and _id_of(store, name).startswith(text)]
    if len(found) > 1:
        raise Conflict(f"network {text} is ambiguous: {', '.join(found)}", hint="give more of the ID, or the name")
    if found:
        return found[0]
    raise NotFound(f"no such network: {text}", hint="see: lxcwrap network ls")


def inspect(store: Store, text: str) -> dict[str, Any]:
    """The document that ``network inspect`` prints, in Docker's field names.  Raises NotFound."""
    name = resolve(store, text)
    definition = user.find(store, name)
    own = definition if name != default.NAME else None
    row = _row(name, _id_of(store, name), own)
    return {
        "Name": name,
        "Id": row["FullID"],
        "Created": _created(store, name),
        "Scope": "local",
        "Driver": row["Driver"],
        "EnableIPv4": True,
        "EnableIPv6": bool(own and own.subnet6),
        "IPAM": {"Driver": "default", "Options": None, "Config": _ranges(definition)},
        "Internal": bool(own and own.internal),
        "Attachable": False,
        "Ingress": False,
        "Containers": GoMap(_containers(store, definition) if definition else {}),
        "Options": GoMap(_options(definition) if definition else {}),
        "Labels": GoMap(own.labels if own else ()),
    }


def _created(store: Store, name: str) -> str:
    row = store.db.execute("SELECT created FROM networks WHERE name = ?", (name,)).fetchone()
    if not row:
        return "0001-01-01T00:00:00Z"
    return datetime.datetime.fromtimestamp(row["created"], datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def _ranges(definition: NetworkDefinition | None) -> list[dict[str, Any]]:
    if not definition:
        return []
    found = [_range(definition, definition.subnet, definition.gateway, definition.ip_range)]
    if definition.subnet6:
        found.append(_range(definition, definition.subnet6, definition.gateway6, definition.ip_range6))
    return found


def _range(definition: NetworkDefinition, subnet: str, gateway: str, ip_range: str) -> dict[str, Any]:
    found: dict[str, Any] = {"Subnet": subnet, "Gateway": gateway}
    if ip_range:
        found["IPRange"] = ip_range
    reserved = GoMap(item for item in definition.reserved if (":" in item[1]) == (":" in subnet))
    if reserved:
        found["AuxiliaryAddresses"] = reserved
    return found


def _options(definition: NetworkDefinition) -> dict[str, str]:
    if definition.name != default.NAME:
        return dict(definition.options)
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
        SELECT c.id, c.name, l.address, l.mac, l6.address AS address6
        FROM leases l JOIN containers c ON c.id = l.container_id
        LEFT JOIN leases6 l6 ON l6.network_id = l.network_id AND l6.container_id = l.container_id
        WHERE l.network_id = ? ORDER BY l.address
        """,
        (definition.id,),
    ).fetchall()
    return {
        row["id"]: {
            "Name": row["name"],
            "EndpointID": endpoint_id(row["id"], definition.id),
            "MacAddress": row["mac"],
            "IPv4Address": f"{ipaddress.IPv4Address(row['address'])}/{definition.prefix}",
            "IPv6Address": f"{row['address6']}/{definition.prefix6}" if row["address6"] else "",
        }
        for row in rows
        if state.read(store.paths, row["id"]).live
    }
