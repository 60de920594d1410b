"""``rm``: a container, its writable layer and, when asked, its anonymous volumes."""

from __future__ import annotations

import shutil

from lxcwrap.actions import remains, stop
from lxcwrap.errors import Conflict, NotFound
from lxcwrap.model.container import MountKind
from lxcwrap.runtime import connect, state
from lxcwrap.store import containers, layers, staging, volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_TEARDOWN = 15.0  # seconds


def remove(store: Store, container: Container, *, force: bool = False, anonymous_volumes: bool = False) -> None:
    """Raises Conflict when it runs and ``force`` is not given."""
    known = state.read(store.paths, container.id)
    if known.live:
        if not force:
            raise Conflict(
                f"container {container.name} is {known.status}",
                hint=f"stop it first (lxcwrap stop {container.name}), or use rm -f",
            )
        stop.kill_and_wait(store.paths, container.id)
    if not connect.wait_unsupervised(store.paths, container.id, _TEARDOWN):
        raise connect.held(store.paths, container.id, container.name)
    discard(store, container, anonymous_volumes=anonymous_volumes)


def discard(store: Store, container: Container, *, anonymous_volumes: bool) -> None:
    """Forget a container that does not run, then delete its files.  Does nothing if it is gone already."""
    from lxcwrap.actions.start import unpublish

    unpublish(store, container)
    containers.remove(store, container.id)
    staging.discard(store.paths, store.paths.container(container.id))
    if container.image_id is None:
        layers.collect(store)  # its image went before it and left it the layers
    if anonymous_volumes:
        for mount in container.config.mounts:
            if mount.kind is MountKind.VOLUME and mount.anonymous:
                try:
                    volumes.remove(store, mount.source)
                except (Conflict, NotFound):  # another container uses it, or took it along
                    continue
    remains.clear(store, container)
    shutil.rmtree(store.paths.container_run(container.id), ignore_errors=True)
