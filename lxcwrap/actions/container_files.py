"""A container's root file system as an open directory, whether it runs or not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from lxcwrap.errors import Conflict
from lxcwrap.kernel import beneath, lock, mount
from lxcwrap.runtime import state
from lxcwrap.storage.layers import lowers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_PATIENCE = 20.0  # seconds that a start, an end or another command may take
_PAUSE = 0.01


@contextmanager
def opened(store: Store, container: Container, *, mounts: bool) -> Iterator[int]:
    """A descriptor of the root directory.  ``mounts``: with the container's volumes and mounts on it.

    A container that does not run is mounted for the purpose, and cannot be started meanwhile.  Ids are those on
    the host.
    """
    path = f"{store.paths.container_run(container.id)}/lock"
    limit = time.monotonic() + _PATIENCE
    while time.monotonic() < limit:
        known = state.read(store.paths, container.id)
        if known.live and known.pid:
            with _running(store, container, known, mounts=mounts) as root:
                yield root
            return
        try:
            held = lock.take(path, wait=False)
        except lock.Busy:  # starting, being taken down, or mounted by another command
            time.sleep(_PAUSE)
            continue
        try:
            with _mounted(store, container, mounts=mounts) as root:
                yield root
        finally:
            os.close(held)
        return
    raise Conflict(f"container {container.name} is busy: it keeps restarting, or another command uses its files")


@contextmanager
def _running(store: Store, container: Container, known: state.State, *, mounts: bool) -> Iterator[int]:
    try:
        if mounts:
            root = beneath.open_root(f"/proc/{known.pid}/root")
        else:
            with mount.namespace_of(known.supervisor):
                root = mount.open_tree(f"{store.paths.container(container.id)}/rootfs")
    except (FileNotFoundError, ProcessLookupError):
        raise Conflict(f"container {container.name} ended meanwhile", hint="try again") from None
    try:
        yield root
    finally:
        os.close(root)


@contextmanager
def _mounted(store: Store, container: Container, *, mounts: bool) -> Iterator[int]:
    from lxcwrap.runtime.rootfs import CannotMount, Rootfs

    plan = {
        "directory": store.paths.container(container.id),
        "driver": container.driver,
        "lowers": lowers(store, container.chain_id),
        "id_base": container.id_base,
        "volatile": False,
        "mounts": _mount_plan(store, container) if mounts else [],
    }
    with mount.private_namespace():
        rootfs = Rootfs(plan)
        try:
            rootfs.mount()
        except CannotMount as error:
            raise Conflict(f"container {container.name}: {error}") from None
        try:
            yield rootfs.root_fd
        finally:
            rootfs.unmount()


def _mount_plan(store: Store, container: Container) -> list[dict[str, Any]]:
    """Binds, volumes and images whose source is there; a tmpfs is empty while nothing runs."""
    from lxcwrap.actions import mount_sources
    from lxcwrap.runtime import plans

    there = mount_sources.there(store, container)
    return plans.mounts(tuple(there), there)


def frozen(store: Store, container: Container, pause: bool) -> AbstractContextManager[None]:
    """The container stands still while inside, if it runs and ``pause`` asks for it."""
    if pause and state.read(store.paths, container.id).status == "running":
        from lxcwrap.actions import stop

        return stop.frozen(store, container)
    return nullcontext()
