"""``create``: a container's row and directory.  Nothing is mounted, nothing runs."""

from __future__ import annotations

import os
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from lxcwrap.actions import nicknames
from lxcwrap.errors import Conflict, RuntimeFailure, Unsupported, UsageError
from lxcwrap.kernel import idmap
from lxcwrap.model.container import ContainerConfig, Mount, MountKind, UserNamespace
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.image import RunConfig
from lxcwrap.model.names import check_hostname, check_name, check_text
from lxcwrap.storage.driver import name_of, no_user_namespaces
from lxcwrap.storage.layers import lowers
from lxcwrap.store import containers, staging, volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

if TYPE_CHECKING:
    from lxcwrap.storage.driver import Driver

_ATTEMPTS = 10


def merge(image: RunConfig, asked: ContainerConfig, *, entrypoint_given: bool = False) -> ContainerConfig:
    """The user's wishes over the image's defaults, by Docker's rules.

    In ``asked`` empty means not given; a given entrypoint, even an empty one, drops the image's command.
    """
    taken = {mount.target for mount in asked.mounts}
    anonymous = tuple(
        Mount(MountKind.VOLUME, target=target, anonymous=True) for target in image.volumes if target not in taken
    )
    merged = replace(
        asked,
        entrypoint=asked.entrypoint if entrypoint_given else image.entrypoint,
        command=asked.command or (() if entrypoint_given else image.command),
        env=merge_environment(image.env, asked.env),
        working_dir=asked.working_dir or image.working_dir or "/",
        user=asked.user or image.user,
        labels=tuple(sorted({**dict(image.labels), **dict(asked.labels)}.items())),
        exposed=tuple(sorted({*image.exposed, *asked.exposed})),
        stop_signal=asked.stop_signal or image.stop_signal or ("SIGRTMIN+3" if asked.system else "SIGTERM"),
        mounts=(*asked.mounts, *anonymous),
        health=_health(image.health or HealthCheck(), asked),
    )
    if not merged.argv:
        raise UsageError("no command: the image names none, and none was given", hint="add one after the image")
    return merged


def _health(image: HealthCheck, asked: ContainerConfig) -> HealthCheck:
    """The image's check with the user's test and times.  Raises UsageError for times of a check that there is not."""
    given = asked.health
    if given.test == ("NONE",):
        return given
    merged = HealthCheck(*(getattr(given, one.name) or getattr(image, one.name) for one in fields(HealthCheck)))
    if merged.test and merged.test != ("NONE",):
        return merged
    if given != HealthCheck() or asked.health_on_failure not in ("", "none"):
        raise UsageError(
            "--health-… flags without a health check: the image has none", hint="give --health-cmd, or leave them out"
        )
    return image


def merge_environment(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """``NAME=value`` items; a later one replaces an earlier one of the same name in its place."""
    values = {item.partition("=")[0]: item for item in first}
    values.update({item.partition("=")[0]: item for item in second})
    return tuple(values.values())


def check(config: ContainerConfig) -> None:
    """Refuse what must not reach liblxc or a terminal.  Raises Unsafe or UsageError."""
    for word in config.argv:
        if "\0" in word:
            raise UsageError("the command holds a NUL character")
    for item in config.env:
        check_text(item, f"environment variable {item.partition('=')[0][:40]!r}")
    for name, value in config.labels:
        check_text(name, "label")
        check_text(value, f"label {name!r}", newlines=True)
    for text, what in ((config.user, "user"), (config.working_dir, "working directory")):
        check_text(text, what)
    for mount in config.mounts:
        check_text(mount.source, "mount source")
        check_text(mount.target, "mount target")
    if not config.working_dir.startswith("/"):
        raise UsageError(f"the working directory {config.working_dir!r} is not absolute")
    for text in filter(None, (config.hostname, config.domainname)):
        check_hostname(text)


def create(store: Store, driver: Driver, config: ContainerConfig, name: str | None, image: Image | None) -> Container:
    """Make the container.  Raises Conflict, UsageError, Unsafe, Unsupported or NotFound; then nothing is left."""
    check(config)
    if name:
        check_name(name, "container")
    config = _known_network(store, _own_volumes(store, config))
    for attempt in range(_ATTEMPTS):
        try:
            return _add(store, driver, config, name or nicknames.suggest(attempt), image)
        except Conflict:
            if name or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _known_network(store: Store, config: ContainerConfig) -> ContainerConfig:
    """``container:NAME`` as ``container:ID``, which stays right when the other is renamed.

    The host name goes with the network: the host's, or the other container's.
    """
    kind, _, name = config.network.mode.partition(":")
    if kind == "host":
        return replace(config, hostname=config.hostname or os.uname().nodename)
    if kind != "container":
        return config
    other = containers.resolve(store, name)
    network = replace(config.network, mode=f"container:{other.id}")
    return replace(config, network=network, hostname=other.config.hostname or other.id[:12])


def _own_volumes(store: Store, config: ContainerConfig) -> ContainerConfig:
    """Make the volumes that are missing; anonymous ones get their names here."""
    mounts = []
    for mount in config.mounts:
        if mount.kind is MountKind.VOLUME:
            volume = volumes.create(store, mount.source)
            mount = replace(mount, source=volume.name, anonymous=mount.anonymous or volume.anonymous)
        mounts.append(mount)
    return replace(config, mounts=tuple(mounts))


def _add(store: Store, driver: Driver, config: ContainerConfig, name: str, image: Image | None) -> Container:
    container_id = os.urandom(32).hex()
    place = store.paths.container(container_id)
    chain_id = image.chain_id if image else None
    try:
        with store.transaction():
            id_base = _id_base(store, driver, config)
            os.mkdir(place, 0o711)
            driver.prepare(place, lowers(store, chain_id) if chain_id else (), id_base)
            container = Container(
                id=container_id,
                name=name,
                image_id=image.id if image else None,
                chain_id=chain_id,
                config=config,
                driver=name_of(driver),
                id_base=id_base,
                created=time.time(),
            )
            containers.add(store, container)
            volumes.attach(store, container_id, _volume_names(config))
    except BaseException:
        staging.discard(store.paths, place)
        raise
    return container


def _volume_names(config: ContainerConfig) -> list[str]:
    return [mount.source for mount in config.mounts if mount.kind is MountKind.VOLUME]


def _id_base(store: Store, driver: Driver, config: ContainerConfig) -> int | None:
    """The container's range of host ids; None when root in it is root on the host."""
    security = config.security
    wanted = security.user_namespace
    if wanted is UserNamespace.HOST or (security.privileged and wanted is UserNamespace.DEFAULT):
        return None
    reason = no_user_namespaces(store, driver)
    if reason:
        if wanted is UserNamespace.PRIVATE:
            raise Unsupported(f"--userns=private: {reason}")
        return None
    if config.network.mode == "host" and wanted is UserNamespace.DEFAULT:
        return None  # in a namespace of its own root could not use the host's network as root
    first, count = idmap.subordinate_range()
    base = containers.free_id_base(store, first, count)
    if base is None:
        raise RuntimeFailure(f"all {count} ranges of host ids are in use", hint="remove containers")
    return base
