"""``update``: other limits and another restart policy for a container that exists, also while it runs.

All or nothing: the kernel's files, the stored configuration and what the supervisor knows change together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import Any

from lxcwrap.errors import Conflict, NotFound, RuntimeFailure, Unsupported, UsageError
from lxcwrap.kernel import cgroup
from lxcwrap.model.container import ContainerConfig, Resources, RestartKind, RestartPolicy
from lxcwrap.runtime import config as lxc_config
from lxcwrap.runtime import connect, frames, host, plans, state
from lxcwrap.runtime.spawn import Channel
from lxcwrap.store import containers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_DEVICES = ("blkio_weight_device", "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops")
_FIXED = (
    "ulimits", "shm_size", "memory_swappiness", "oom_kill_disable", "oom_score_adj", "cgroup_parent", *_DEVICES
)  # fmt: skip
_FLAGS = {
    "memory.limit_in_bytes": "--memory",
    "memory.max": "--memory",
    "memory.memsw.limit_in_bytes": "--memory-swap",
    "memory.swap.max": "--memory-swap",
    "memory.soft_limit_in_bytes": "--memory-reservation",
    "memory.low": "--memory-reservation",
    "cpu.shares": "--cpu-shares",
    "cpu.weight": "--cpu-shares",
    "cpu.cfs_period_us": "--cpus",
    "cpu.cfs_quota_us": "--cpus",
    "cpu.max": "--cpus",
    "cpuset.cpus": "--cpuset-cpus",
    "cpuset.mems": "--cpuset-mems",
    "pids.max": "--pids-limit",
    "blkio.bfq.weight": "--blkio-weight",
    "io.weight": "--blkio-weight",
    "cpu.rt_period_us": "--cpu-rt-period",
    "cpu.rt_runtime_us": "--cpu-rt-runtime",
}


def update(store: Store, container: Container, asked: Resources, restart: RestartPolicy | None) -> None:
    """Change what is not 0 or '' in ``asked``.  Raises UsageError, Unsupported, Conflict or RuntimeFailure."""
    config = container.config
    if restart and restart.kind is not RestartKind.NO and config.auto_remove:
        raise Conflict(f"container {container.name}: --restart does not go with --rm, which it was made with")
    wanted = replace(config, resources=merged(config.resources, asked), restart=restart or config.restart)
    items = _items(wanted.resources)
    with ExitStack() as undo, store.transaction():
        containers.reconfigure(store, container.id, wanted)
        now = state.read(store.paths, container.id)
        if now.live:
            if now.pid:
                _write_limits(now.pid, container.id, _items(config.resources), items, undo)
            _tell(store, container, wanted, items)
        store.event("container", "update", container.id, container.attributes)
        undo.pop_all()


def merged(known: Resources, asked: Resources) -> Resources:
    """The known limits with those that are asked for; a share of processors replaces one given in the other form."""
    if asked.nano_cpus:
        known = replace(known, cpu_quota=0, cpu_period=0)
    if asked.cpu_quota or asked.cpu_period:
        known = replace(known, nano_cpus=0)
    given = {one.name: getattr(asked, one.name) for one in fields(Resources) if one.name not in _FIXED}
    result = replace(known, **{name: value for name, value in given.items() if value})
    if asked.memory and not asked.memory_swap and 0 < known.memory_swap < asked.memory:
        raise UsageError("--memory is more than the container's --memory-swap", hint="give both")
    return result


def _items(resources: Resources) -> dict[str, str]:
    """``lxc.cgroup…`` keys and values, each key once: the limits of devices stay as they are."""
    nothing: dict[str, Any] = dict.fromkeys(_DEVICES, ())
    without = replace(resources, ulimits=(), **nothing)
    return dict(lxc_config.limits(without, host.facts()))


def _write_limits(pid: int, name: str, before: dict[str, str], after: dict[str, str], undo: ExitStack) -> None:
    try:
        group = cgroup.find(pid, name)
    except (FileNotFoundError, ProcessLookupError):
        return  # it has just ended
    changes = [(_file(key), value) for key, value in after.items() if before.get(key) != value]
    for file, value in _ordered(group, changes):
        directory = group.of(file.partition(".")[0])
        if directory is None:
            raise Unsupported(f"{_FLAGS[file]}: this kernel's cgroups have no {file.partition('.')[0]} controller")
        _write_limit(f"{directory}/{file}", value, undo)


def _file(key: str) -> str:
    return key.removeprefix("lxc.cgroup2.").removeprefix("lxc.cgroup.")


def _ordered(group: cgroup.Cgroup, changes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """cgroup v1 wants memory and swap together never below memory alone: what grows goes the other way round."""
    known = dict(changes)
    total = known.get("memory.memsw.limit_in_bytes")
    if total is None:
        return changes
    directory = group.of("memory")
    try:
        with open(f"{directory}/memory.memsw.limit_in_bytes", encoding="ascii") as stream:
            grows = int(total) < 0 or int(total) >= int(stream.read())
    except OSError:
        return changes
    order = ("memory.memsw.limit_in_bytes", "memory.limit_in_bytes")
    return (
        sorted(changes, key=lambda change: order.index(change[0]) if change[0] in order else -1) if grows else changes
    )


def _write_limit(path: str, value: str, undo: ExitStack) -> None:
    flag = _FLAGS[os.path.basename(path)]
    try:
        with open(path, encoding="ascii") as stream:
            before = stream.read().strip()
        _write(path, value)
    except FileNotFoundError:
        raise Unsupported(f"{flag}: this kernel has no {path}") from None
    except OSError as error:
        raise RuntimeFailure(f"{flag}: the kernel refused {value} for {path}: {error.strerror}", exit_code=1) from None
    undo.callback(_write_back, path, before)


def _write_back(path: str, value: str) -> None:
    try:
        _write(path, value)
    except OSError:  # the container has ended, and its groups are gone
        pass


def _write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _tell(store: Store, container: Container, wanted: ContainerConfig, items: dict[str, str]) -> None:
    """The supervisor starts the container anew by its policy: with these limits, by this policy."""
    channel = connect.connect(store.paths, container.id)
    if not channel:
        raise NotFound(f"container {container.name} has no supervisor any more")
    if not _acknowledged(channel, {"restart": plans.restart_plan(wanted.restart), "items": items}):
        raise Conflict(f"container {container.name} ended while it was updated", hint="try again")


def rename(store: Store, container: Container, name: str) -> None:
    """Raises Conflict when the name is taken."""
    channel = connect.connect(store.paths, container.id)
    try:
        containers.rename(store, container.id, name)
        if channel:  # so that its events carry the name
            _acknowledged(channel, {"name": name})
    finally:
        if channel:
            channel.close()


def inform(store: Store, container: Container, news: Mapping[str, object]) -> bool:
    """Tell the supervisor what else is different now; False when there is none any more."""
    channel = connect.connect(store.paths, container.id)
    unchanged = {"restart": plans.restart_plan(container.config.restart), "items": {}}
    return channel is not None and _acknowledged(channel, {**unchanged, **news})


def _acknowledged(channel: Channel, message: dict[str, object]) -> bool:
    """Whether the supervisor took it in; False when it has ended."""
    try:
        channel.send(frames.UPDATE, json.dumps(message).encode())
        while (received := frames.read_one(channel.descriptor)) and received[0] != frames.UPDATED:
            pass
    except OSError:
        received = None
    finally:
        channel.close()
    return received is not None
