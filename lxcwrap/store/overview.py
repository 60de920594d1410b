"""Containers as listings need them: a few queries for all, configurations as plain JSON.

``ps`` must be quick, so nothing here builds a ContainerConfig.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from lxcwrap.store.database import Store


class PublishedPort(NamedTuple):
    """A row of published_ports."""

    host_ip: str
    host_port: int
    container_port: int
    protocol: str


class Overview(NamedTuple):
    """One container.  ``config`` is ContainerConfig's JSON form, in which defaults are left out."""

    id: str
    name: str
    image_id: str | None
    chain_id: str | None
    created: float  # seconds since the epoch
    driver: str
    id_base: int | None
    config: dict[str, Any]
    ports: tuple[PublishedPort, ...]  # held now, or by one that died without giving them back
    volumes: tuple[str, ...]


def containers(store: Store) -> tuple[Overview, ...]:
    """All containers, newest first."""
    ports = _by_container(
        store, "SELECT container_id, host_ip, host_port, container_port, protocol FROM published_ports"
    )
    volumes = _by_container(store, "SELECT container_id, volume FROM container_volumes ORDER BY volume")
    rows = store.db.execute(
        """
        SELECT id, name, image_id, chain_id, created, driver, id_base, config
        FROM containers ORDER BY created DESC, id
        """
    )
    return tuple(
        Overview(
            container_id,
            name,
            image_id,
            chain_id,
            created,
            driver,
            id_base,
            json.loads(config),
            tuple(PublishedPort(*port) for port in ports.get(container_id, ())),
            tuple(volume for (volume,) in volumes.get(container_id, ())),
        )
        for container_id, name, image_id, chain_id, created, driver, id_base, config in rows
    )


def _by_container(store: Store, query: str) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for container_id, *rest in store.db.execute(query):
        found.setdefault(container_id, []).append(tuple(rest))
    return found


def image_names(store: Store) -> dict[str, set[str]]:
    """The tags of each image that has any, in canonical form."""
    names: dict[str, set[str]] = {}
    for reference, image_id in store.db.execute("SELECT reference, image_id FROM image_references"):
        names.setdefault(image_id, set()).add(reference)
    return names
