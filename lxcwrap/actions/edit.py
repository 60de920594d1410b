"""``container edit``: another configuration for a container that keeps its ID, name and writable layer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lxcwrap.actions import create, start, stop
from lxcwrap.errors import NotFound, UsageError
from lxcwrap.model import run_flags
from lxcwrap.model.container import ContainerConfig, Mount, MountKind, Port
from lxcwrap.runtime import connect, state
from lxcwrap.store import containers, volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_TEARDOWN = 15.0  # seconds


@dataclass(frozen=True)
class Changes:
    """What is added (it replaces what has the same name, target or port) and what is taken away."""

    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    env: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    ports_gone: tuple[str, ...] = ()  # PORT[/PROTOCOL] in the container
    targets_gone: tuple[str, ...] = ()
    env_gone: tuple[str, ...] = ()
    labels_gone: tuple[str, ...] = ()


def changed(config: ContainerConfig, changes: Changes) -> ContainerConfig:
    """Raises NotFound for what is to be taken away and is not there, UsageError for what cannot be together."""
    env = {item.partition("=")[0]: item for item in config.env}
    labels = dict(config.labels)
    mounts = {mount.target: mount for mount in config.mounts}
    ports = list(config.network.ports)
    for name in changes.env_gone:
        _take(env, name, "environment variable")
    for name in changes.labels_gone:
        _take(labels, name, "label")
    for target in changes.targets_gone:
        _take(mounts, run_flags.absolute(target, "--volume-rm"), "mount at")
    for text in changes.ports_gone:
        gone = {(port.container_port, port.protocol) for port in run_flags.ports(text)}
        kept = [port for port in ports if (port.container_port, port.protocol) not in gone]
        if len(kept) == len(ports):
            raise NotFound(f"the container has no published port {text}", exit_code=1)
        ports = kept
    ports = list(dict.fromkeys((*ports, *changes.ports)))
    if ports and config.network.mode.startswith("container:"):
        raise UsageError("a container that shares another's network cannot publish ports")
    mounts |= {mount.target: mount for mount in changes.mounts}
    return replace(
        config,
        env=create.merge_environment(tuple(env.values()), changes.env),
        labels=tuple(sorted((labels | dict(changes.labels)).items())),
        mounts=tuple(mounts.values()),
        network=replace(config.network, ports=tuple(ports)),
    )


def _take(found: dict[str, object] | dict[str, str] | dict[str, Mount], name: str, what: str) -> None:
    if found.pop(name, None) is None:
        raise NotFound(f"the container has no {what} {name}", exit_code=1)


def edit(store: Store, container: Container, changes: Changes) -> None:
    """Stop it if it runs, change it, start it; when it does not start it is what it was, and runs again.

    Raises what ``changed``, ``stop`` and ``start`` raise.
    """
    wanted = changed(container.config, changes)
    create.check(wanted)
    running = state.read(store.paths, container.id).live
    if running and container.config.auto_remove:
        raise UsageError("a running container with --rm would be removed by the edit", exit_code=1)
    wanted = create.own_volumes(store, wanted)
    if running:
        stop.stop(store, container)
    if not connect.wait_unsupervised(store.paths, container.id, _TEARDOWN):
        raise connect.held(store.paths, container.id, container.name)
    _record(store, container.id, wanted)
    if not running:
        return
    try:
        start.start(store, containers.resolve(store, container.id))
    except BaseException:
        _record(store, container.id, container.config)
        start.start(store, container)
        raise


def _record(store: Store, container_id: str, config: ContainerConfig) -> None:
    """One transaction: after a crash the container is the old one or the new one."""
    with store.transaction():
        containers.reconfigure(store, container_id, config)
        volumes.detach(store, container_id)
        volumes.attach(store, container_id, [mount.source for mount in config.mounts if mount.kind is MountKind.VOLUME])
