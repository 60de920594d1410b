"""``container edit``: another configuration for a container that keeps its ID, name and writable layer."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lxcwrap.actions import create, image_mounts, ports, start, stop
from lxcwrap.errors import NotFound, Unsupported, UsageError
from lxcwrap.model import run_flags
from lxcwrap.model.container import ContainerConfig, Mount, MountKind, Port, RestartKind, RestartPolicy
from lxcwrap.model.image import RunConfig
from lxcwrap.runtime import connect, state
from lxcwrap.store import containers, images, layers, volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

if TYPE_CHECKING:
    from lxcwrap.storage.driver import Driver

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
    image: str = ""  # as the user typed it
    entrypoint: tuple[str, ...] | None = None  # () for none; the command goes with the old one, unless one is given
    command: tuple[str, ...] | None = None
    user: str | None = None
    working_dir: str = ""
    restart: RestartPolicy | None = None


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
    config = _with_command(config, changes)
    return replace(
        config,
        user=config.user if changes.user is None else changes.user,
        working_dir=changes.working_dir or config.working_dir,
        restart=changes.restart or config.restart,
        env=create.merge_environment(tuple(env.values()), changes.env),
        labels=tuple(sorted((labels | dict(changes.labels)).items())),
        mounts=tuple(mounts.values()),
        network=replace(config.network, ports=tuple(ports)),
    )


def _with_command(config: ContainerConfig, changes: Changes) -> ContainerConfig:
    if changes.restart and changes.restart.kind is not RestartKind.NO and config.auto_remove:
        raise UsageError("--restart does not go with --rm, which the container was made with")
    if changes.entrypoint is not None:
        config = replace(config, entrypoint=changes.entrypoint, command=())
    if changes.command is not None:
        config = replace(config, command=changes.command)
    if not config.argv:
        raise UsageError("no command is left", hint="give --command")
    return config


def _take(found: dict[str, object] | dict[str, str] | dict[str, Mount], name: str, what: str) -> None:
    if found.pop(name, None) is None:
        raise NotFound(f"the container has no {what} {name}", exit_code=1)


def edit(store: Store, driver: Driver, container: Container, changes: Changes, image: Image | None = None) -> None:
    """Stop it if it runs, change it, start it; when it does not start it is what it was, and runs again.

    ``image``: what goes below its writable layer from now on.  Raises what ``changed``, ``stop`` and ``start`` raise.
    """
    ports.claim(store, container.id)  # nobody else starts or edits it meanwhile
    try:
        with layers.keeping(store) if image else nullcontext():
            _edit(store, driver, containers.resolve(store, container.id), changes, image)
    finally:
        ports.settled(container.id)
    if image and container.image_id is None:
        layers.collect(store)  # its image went before it and left it the layers


def _edit(store: Store, driver: Driver, before: Container, changes: Changes, image: Image | None) -> None:
    wanted = changed(_on_image(store, driver, before, image, changes.image), changes)
    create.check(wanted)
    running = state.read(store.paths, before.id).live
    if running and before.config.auto_remove:
        raise UsageError("a running container with --rm would be removed by the edit", exit_code=1)
    wanted = create.own_volumes(store, wanted)
    place = store.paths.container(before.id)
    create.prepare_images(store, driver, place, wanted, before.id_base)
    if running:
        stop.stop(store, before)
    if not connect.wait_unsupervised(store.paths, before.id, _TEARDOWN):
        raise connect.held(store.paths, before.id, before.name)
    after = replace(before, config=wanted)
    if image:
        after = replace(after, image_id=image.id, chain_id=image.chain_id)
    _record(store, after, before)
    if running:
        try:
            start.start(store, after)
        except BaseException:
            _record(store, before)
            _discard_new(store, after, before)
            start.start(store, before)
            raise
    _record(store, after)
    image_mounts.discard_others(store, place, wanted)


def _discard_new(store: Store, after: Container, before: Container) -> None:
    """What was made for the changes that were taken back."""
    kept = create.volume_names(before.config)
    for mount in after.config.mounts:
        if mount.kind is MountKind.VOLUME and mount.anonymous and mount.source not in kept:
            volumes.remove(store, mount.source)
    image_mounts.discard_others(store, store.paths.container(before.id), before.config)


def _on_image(
    store: Store, driver: Driver, container: Container, image: Image | None, reference: str
) -> ContainerConfig:
    """Its configuration with the other image's defaults in place of the old one's."""
    if not image:
        return container.config
    if not driver.APART:
        raise Unsupported(
            f"--image: the storage driver {container.driver} keeps a full copy, which is not apart from the image",
            hint=f"commit what it holds: lxcwrap commit {container.name}",
        )
    from lxcwrap.actions import rebase

    old = images.config(store, container.image_id).config if container.image_id else RunConfig()
    new = images.config(store, image.id).config
    return rebase.rebased(container.config, old, new, reference)


def _record(store: Store, container: Container, other: Container | None = None) -> None:
    """One transaction: after a crash the container is the old one or the new one.

    What the ``other`` needs is kept too, until it is clear which of the two it is.
    """
    known = [container, other] if other else [container]
    with store.transaction():
        containers.reconfigure(store, container.id, container.config)
        containers.put_on(store, container.id, container.image_id, container.chain_id)
        volumes.detach(store, container.id)
        for one in known:
            volumes.attach(store, container.id, create.volume_names(one.config))
        kept = set().union(*(image_mounts.ids(one.config) for one in known))
        if other and other.image_id:
            kept.add(other.image_id)
        images.attach(store, container.id, kept)
