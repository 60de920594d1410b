"""Networks of the user's own: made and removed."""

from __future__ import annotations

from collections.abc import Mapping

from lxcwrap.actions import networks, ports
from lxcwrap.errors import Conflict, NotPermitted
from lxcwrap.model.names import check_name
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.model.selection import labels_match
from lxcwrap.network import default, user
from lxcwrap.store import containers
from lxcwrap.store.database import Store

PRUNE_FILTERS = ("label", "label!")
_PREDEFINED = (default.NAME, "default", "host", "none")


def create(store: Store, wanted: NetworkDefinition) -> str:
    """Its id.  Raises Unsupported, NotPermitted or Conflict."""
    check_name(wanted.name, "network")
    if wanted.name in _PREDEFINED:
        raise NotPermitted(f"operation is not permitted on predefined {wanted.name} network")
    return user.create(store, wanted).id


def remove(store: Store, text: str) -> None:
    """Raises NotFound, NotPermitted for a built-in one, and Conflict while a container runs on it."""
    name = networks.resolve(store, text)
    if name in _PREDEFINED:
        raise NotPermitted(f"{name} is a pre-defined network and cannot be removed")
    definition = user.get(store, name)
    running = _running(store, definition)
    if running:
        raise Conflict(
            f"network {name} has active endpoints: {', '.join(running)}",
            hint=f"stop them, or: lxcwrap network disconnect {name} {running[0]}",
        )
    user.remove(store, definition)


def _running(store: Store, definition: NetworkDefinition) -> list[str]:
    rows = store.db.execute(
        "SELECT c.id, c.name FROM leases l JOIN containers c ON c.id = l.container_id WHERE l.network_id = ?",
        (definition.id,),
    ).fetchall()
    return sorted(row["name"] for row in rows if ports.is_held(store, row["id"]))


def prune(store: Store, filters: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Remove the networks that no container, running or not, is on; their names."""
    used = {item.name for one in containers.listing(store) for item in one.config.network.attachments}
    removed = []
    for definition in user.listing(store):
        labels = dict(definition.labels)
        unwanted = any(labels_match((item,), labels) for item in filters.get("label!", ()))
        if definition.name in used or unwanted or not labels_match(filters.get("label", ()), labels):
            continue
        user.remove(store, definition)
        removed.append(definition.name)
    return removed
