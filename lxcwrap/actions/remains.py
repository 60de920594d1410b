"""What a container leaves whose supervisor or liblxc process was killed: processes, control groups, devices, folders.

Mounts and most devices go by themselves with the namespaces that they are in.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lxcwrap.actions import ports
from lxcwrap.errors import LxcwrapError
from lxcwrap.kernel import lock
from lxcwrap.model.paths import Paths
from lxcwrap.runtime import state
from lxcwrap.store import staging, volumes
from lxcwrap.store.database import Store

if TYPE_CHECKING:
    from lxcwrap.store.containers import Container

_LIBLXC = ("/run/lxc", "/run/lxc/lock")


def clear(store: Store, container: Container) -> None:
    """End and remove all of it.  Does nothing while a supervisor is there to do it."""
    if state.supervised(store.paths, container.id):
        return
    from lxcwrap.kernel import cgroup_end
    from lxcwrap.runtime import limits

    wanted = container.config.resources.cgroup_parent
    cgroup_end.end(container.id, limits.parent(wanted) if wanted else "")
    _drop_devices(store, container)
    _forget_lxcpath(store.paths.container_run(container.id))


def _drop_devices(store: Store, container: Container) -> None:
    """The host's ends of pairs whose other ends had not come into the container yet."""
    if container.config.network.mode in ("none", "host") or container.config.network.mode.startswith("container:"):
        return
    from lxcwrap.kernel import veth
    from lxcwrap.network import plan, several, user

    veth.drop(plan.pair_name(container.id))
    for attachment in container.config.network.attachments:
        definition = user.find(store, attachment.name)
        if definition:
            veth.drop(several.pair_name(container.id, definition))


def _forget_lxcpath(lxcpath: str) -> None:
    """liblxc keeps a folder per lxcpath, with its FIFO as long as the container runs."""
    for kept in _LIBLXC:
        with suppress(OSError):
            os.unlink(f"{kept}{lxcpath}/monitor-fifo")
        with suppress(OSError):
            os.rmdir(f"{kept}{lxcpath}")


def settle(store: Store) -> None:
    """Clear up after all containers whose supervisors were killed, and give back their ports and names."""
    ports.release_dead(store)
    if os.path.isdir(f"{store.paths.run}/networks"):
        from lxcwrap.network import several

        with suppress(LxcwrapError):  # the next start says what is wrong with the resolver
            several.revive(store)
    known = {row["id"] for row in store.db.execute("SELECT id FROM containers")}
    for container_id in known.intersection(_with_run_directory(store.paths)):
        if not state.read(store.paths, container_id).killed:
            continue
        from lxcwrap.store import containers  # with a container's whole model behind it

        with _alone(store.paths, container_id) as alone:
            if alone and state.read(store.paths, container_id).killed:
                clear(store, containers.resolve(store, container_id))
                with suppress(OSError):  # on a full disk it is looked at again next time
                    state.set_cleared(store.paths, container_id)


def _with_run_directory(paths: Paths) -> list[str]:
    try:
        return os.listdir(f"{paths.run}/containers")
    except FileNotFoundError:
        return []


@contextmanager
def _alone(paths: Paths, container_id: str) -> Iterator[bool]:
    """Whether nobody else is about to start the container, or clears up after it; and nobody does inside."""
    try:
        with lock.held(ports.path(paths, container_id), wait=False):
            yield True
    except lock.Busy:
        yield False


def sweep(store: Store) -> None:
    """Remove what commands left in staging that were killed, and what they left of builds and containers."""
    staging.sweep(store.paths)
    volumes.discard_unknown(store)
    forget_steps(store.paths)
    found = set(_with_run_directory(store.paths))  # before the rows: a container has its row first
    known = {row["id"] for row in store.db.execute("SELECT id FROM containers")}
    for container_id in found - known:
        _forget_removed(store.paths, container_id)


def _forget_removed(paths: Paths, container_id: str) -> None:
    """Of a container whose removal was cut."""
    if not state.supervised(paths, container_id):
        from lxcwrap.kernel import cgroup_end

        cgroup_end.end(container_id)
        _forget_lxcpath(paths.container_run(container_id))
        shutil.rmtree(paths.container_run(container_id), ignore_errors=True)


def forget_steps(paths: Paths) -> None:
    """liblxc keeps a folder for every build that ran something; where the build is over, nothing of it may be left."""
    place = paths.staging
    kept = f"/run/lxc{place}"
    if not os.path.isdir(kept):
        return
    from lxcwrap.kernel import cgroup_end

    for build in os.listdir(kept):
        if not build.startswith("build-") or os.path.exists(f"{place}/{build}.lock"):
            continue
        cgroup_end.end(build)
        for step in os.listdir(f"{kept}/{build}"):
            _forget_lxcpath(f"{place}/{build}/{step}")
        _forget_lxcpath(f"{place}/{build}")
    if not os.listdir(place):  # else another build may be about to put something there
        _forget_lxcpath(place)
