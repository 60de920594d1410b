"""Who holds published ports: containers that run, and those that a process is starting right now.

A container that is being started has its ports before anything of it runs.  The process that starts it holds a lock
until then: nobody else starts the container meanwhile, or takes the ports of what does not run for free.
"""

from __future__ import annotations

import os

from lxcwrap.kernel import lock
from lxcwrap.model.paths import Paths
from lxcwrap.runtime import state
from lxcwrap.store.database import Store

_claims: dict[str, int] = {}  # containers that this process is starting: descriptors of their locks


def path(paths: Paths, container_id: str) -> str:
    return f"{paths.container_run(container_id)}/starting"


def claim(store: Store, container_id: str) -> None:
    """This process starts the container, until ``settled``.  Waits for another that does."""
    if container_id not in _claims:
        _claims[container_id] = lock.take(path(store.paths, container_id))


def settled(container_id: str) -> None:
    """It runs, or it was not started: its state says so from now on.  Does nothing when it was not claimed."""
    descriptor = _claims.pop(container_id, -1)
    if descriptor >= 0:
        os.close(descriptor)


def is_held(store: Store, container_id: str) -> bool:
    """Whether the container's ports are its own."""
    return state.read(store.paths, container_id).live or lock.is_held(path(store.paths, container_id))


def release_dead(store: Store) -> None:
    """Give back the ports and names of containers whose supervisors were killed before they could."""
    if os.path.isdir(f"{store.paths.run}/networks"):
        from lxcwrap.network import names

        names.settle(store.paths, lambda container_id: is_held(store, container_id))
    rows = store.db.execute("SELECT DISTINCT container_id FROM published_ports").fetchall()
    dead = [row["container_id"] for row in rows if not is_held(store, row["container_id"])]
    if not dead:
        return
    from lxcwrap.network import publish

    for container_id in dead:
        try:
            with lock.held(path(store.paths, container_id), wait=False):
                if not state.read(store.paths, container_id).live:
                    publish.unpublish(store, container_id)
        except lock.Busy:  # somebody starts it
            continue
