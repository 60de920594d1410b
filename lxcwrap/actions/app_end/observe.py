"""What this host has of an application: a few queries, and a look at the application's own containers only."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from typing import Any

from lxcwrap.actions import images
from lxcwrap.actions.app_end import contents, releases
from lxcwrap.deploy import observation
from lxcwrap.deploy.observation import HostState, Pairs, Replica
from lxcwrap.runtime import state
from lxcwrap.store import settings
from lxcwrap.store.database import Store

DRAINED = "drained"  # a setting of the state root


def observe(store: Store, app: str, references: Iterable[str]) -> HostState:
    """``references``: images whose IDs are asked for."""
    replicas, reserved = _containers(store, app)
    return HostState(
        name=platform.node(),
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        drained=settings.get(store, DRAINED) == "on",
        replicas=replicas,
        networks=_names(store, "networks"),
        volumes=_names(store, "volumes"),
        images=_images(store, references),
        secrets=contents.current(store.paths, app),
        reserved_cpus=reserved[0],
        reserved_memory=int(reserved[1]),
        release=releases.last(store, app),
        architecture=platform.machine(),
        secret_place=contents.place(store.paths, config=False),
        config_place=contents.place(store.paths, config=True),
    )


def _containers(store: Store, app: str) -> tuple[tuple[Replica, ...], tuple[float, float]]:
    """The application's, and the processors and bytes that all others reserve."""
    mine = json.dumps([observation.APP, app])
    words = (json.dumps(observation.CPUS), json.dumps(observation.MEMORY), '"memory_reservation"')
    replicas, cpus, memory = [], 0.0, 0.0
    for row in store.db.execute("SELECT id, name, image_id, config FROM containers ORDER BY created"):
        if mine in row["config"]:
            replicas.append(_replica(store, row, json.loads(row["config"])))
        elif any(word in row["config"] for word in words):
            config = json.loads(row["config"])
            labels = dict(config.get("labels", ()))
            cpus += _number(labels.get(observation.CPUS, ""))
            memory += _number(labels.get(observation.MEMORY, "")) or config.get("resources", {}).get(
                "memory_reservation", 0
            )
    return tuple(replicas), (cpus, memory)


def _replica(store: Store, row: Any, config: dict[str, Any]) -> Replica:
    labels: Pairs = tuple((name, value) for name, value in config.get("labels", ()))
    known = dict(labels)
    now = state.read(store.paths, row["id"])
    return Replica(
        id=row["id"],
        name=row["name"],
        service=known.get(observation.SERVICE, ""),
        slot=int(_number(known.get(observation.SLOT, ""))),
        release=int(_number(known.get(observation.RELEASE, ""))),
        spec=known.get(observation.SPEC, ""),
        image=row["image_id"] or "",
        state=now.status,
        health=now.health if now.live else "",
        exit_code=now.exit_code,
        started=now.started_at,
        labels=labels,
    )


def _number(text: str) -> float:
    """0 for what is none: labels are anybody's."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


def _names(store: Store, table: str) -> tuple[str, ...]:
    return tuple(row["name"] for row in store.db.execute(f"SELECT name FROM {table} ORDER BY name"))


def _images(store: Store, references: Iterable[str]) -> Pairs:
    found = ((text, images.find(store, text)) for text in references)
    return tuple((text, image.id) for text, image in found if image)
