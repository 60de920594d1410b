"""Containers: what is wanted of each.  Whether one runs is the runtime's to say."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from dataclasses import dataclass

from lxcwrap.errors import Conflict, NotFound
from lxcwrap.model.container import ContainerConfig
from lxcwrap.store import staging
from lxcwrap.store.database import Store

ID_RANGE = 65536  # host ids that each container with a user namespace has to itself


@dataclass(frozen=True)
class Container:
    """A row of the containers table.

    ``id_base`` is the host uid and gid of the container's root; None without a user namespace.
    """

    id: str
    name: str
    image_id: str | None
    chain_id: str | None
    config: ContainerConfig
    driver: str
    id_base: int | None
    created: float  # seconds since the epoch

    @property
    def attributes(self) -> dict[str, str]:
        """What events say of it."""
        return {**dict(self.config.labels), "image": self.config.image, "name": self.name}


def add(store: Store, container: Container) -> None:
    """Make a container known.  Raises Conflict when the name is taken."""
    try:
        with store.transaction() as db:
            db.execute(
                "INSERT INTO containers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (container.id, container.name, container.image_id, container.chain_id,
                 json.dumps(container.config.to_json()), container.driver, container.id_base, container.created),
            )  # fmt: skip
            store.event("container", "create", container.id, container.attributes)
    except sqlite3.IntegrityError as error:
        if "containers.name" not in str(error):
            raise Conflict(f"container {container.name}: its image went away while it was created") from error
        raise name_taken(store, container.name) from None


def name_taken(store: Store, name: str) -> Conflict:
    holder = find_name(store, name)
    return Conflict(
        f"the container name {name!r} is in use by container {holder.id[:12] if holder else '?'}",
        hint=f"remove it (lxcwrap rm {name}), rename it, or choose another name",
    )


def free_id_base(store: Store, first: int, count: int) -> int | None:
    """The lowest unused of ``count`` ranges from host id ``first``; call it in the transaction that adds."""
    row = store.db.execute(
        """
        SELECT MIN(candidate) AS base FROM (
            SELECT :first AS candidate
            UNION ALL SELECT id_base + :range FROM containers WHERE id_base IS NOT NULL
        ) WHERE candidate NOT IN (SELECT id_base FROM containers WHERE id_base IS NOT NULL)
            AND candidate >= :first AND candidate < :end
        """,
        {"first": first, "range": ID_RANGE, "end": first + count * ID_RANGE},
    ).fetchone()
    return None if row["base"] is None else int(row["base"])


def listing(store: Store) -> tuple[Container, ...]:
    """All containers, newest first."""
    return tuple(map(_container, store.db.execute("SELECT * FROM containers ORDER BY created DESC")))


def find_name(store: Store, name: str) -> Container | None:
    row = store.db.execute("SELECT * FROM containers WHERE name = ?", (name,)).fetchone()
    return _container(row) if row else None


def resolve(store: Store, text: str) -> Container:
    """By full ID, name, or unambiguous ID prefix, in Docker's order.  Raises NotFound or Conflict."""
    row = store.db.execute("SELECT * FROM containers WHERE id = ?", (text,)).fetchone()
    if row:
        return _container(row)
    named = find_name(store, text.removeprefix("/"))
    if named:
        return named
    if re.fullmatch(r"[0-9a-f]{1,64}", text):
        rows = store.db.execute(
            "SELECT * FROM containers WHERE id >= ? AND id < ? LIMIT 2", (text, text + "g")
        ).fetchall()
        if len(rows) > 1:
            raise Conflict(f"container ID prefix {text} is ambiguous", hint="give more digits")
        if rows:
            return _container(rows[0])
    raise NotFound(f"no such container: {text}")


def rename(store: Store, container_id: str, name: str) -> None:
    """Raises Conflict when the name is taken."""
    try:
        with store.transaction() as db:
            before = resolve(store, container_id)
            db.execute("UPDATE containers SET name = ? WHERE id = ?", (name, container_id))
            news = {**before.attributes, "name": name, "oldName": before.name}
            store.event("container", "rename", container_id, news)
    except sqlite3.IntegrityError:
        raise name_taken(store, name) from None


def reconfigure(store: Store, container_id: str, config: ContainerConfig) -> None:
    """Store another configuration."""
    with store.transaction() as db:
        db.execute("UPDATE containers SET config = ? WHERE id = ?", (json.dumps(config.to_json()), container_id))


def put_on(store: Store, container_id: str, image_id: str | None, chain_id: str | None) -> None:
    """Give a container other layers below its own.  Raises Conflict when they are not there any more."""
    try:
        with store.transaction() as db:
            db.execute(
                "UPDATE containers SET image_id = ?, chain_id = ? WHERE id = ?", (image_id, chain_id, container_id)
            )
    except sqlite3.IntegrityError:
        raise Conflict(f"container {container_id[:12]}: its image was removed meanwhile") from None


def remove(store: Store, container_id: str) -> None:
    """Forget a container, its leases and ports; its directory is the caller's to discard afterwards."""
    with store.transaction(removing=True) as db:
        row = db.execute("SELECT * FROM containers WHERE id = ?", (container_id,)).fetchone()
        db.execute("DELETE FROM containers WHERE id = ?", (container_id,))
        if row:
            store.event("container", "destroy", container_id, _container(row).attributes)


def discard_unknown(store: Store) -> None:
    """Remove the directories of containers that no row knows: a crash came between the two."""
    holder = os.path.dirname(store.paths.container("0"))
    with store.transaction(removing=True) as db:  # a container is created in one: none is half-made now
        names = os.listdir(holder)
        known = {row["id"] for row in db.execute("SELECT id FROM containers")}
    for name in set(names) - known:
        staging.discard(store.paths, f"{holder}/{name}")


def _container(row: sqlite3.Row) -> Container:
    config = ContainerConfig.from_json(json.loads(row["config"]))
    return Container(
        row["id"], row["name"], row["image_id"], row["chain_id"], config, row["driver"], row["id_base"], row["created"]
    )
