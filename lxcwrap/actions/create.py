"""``create``: a container's row and directory.  Nothing is mounted, nothing runs."""

from __future__ import annotations

import os
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from lxcwrap.actions import nicknames
from lxcwrap.errors import Conflict, RuntimeFailure, Unsupported, UsageError
from lxcwrap.kernel import idmap
from lxcwrap.model.container import ContainerConfig, Mount, MountKind, Resources, UserNamespace
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.image import RunConfig
from lxcwrap.model.names import check_hostname, check_name, check_text
from lxcwrap.runtime import namespaces
from lxcwrap.storage.driver import name_of, no_user_namespaces
from lxcwrap.storage.layers import lowers
from lxcwrap.store import containers, images, staging, volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

if TYPE_CHECKING:
    from lxcwrap.storage.driver import Driver

_ATTEMPTS = 10
INITS = ("init", "systemd", "openrc-init", "runit", "runit-init", "s6-svscan")


def merge(image: RunConfig, asked: ContainerConfig, *, entrypoint_given: bool = False) -> ContainerConfig:
    """The user's wishes over the image's defaults, by Docker's rules.

    In ``asked`` empty means not given; a given entrypoint, even an empty one, drops the image's command.
    """
    taken = {mount.target for mount in asked.mounts}
    anonymous = tuple(
        Mount(MountKind.VOLUME, target=target, anonymous=True) for target in image.volumes if target not in taken
    )
    entrypoint = asked.entrypoint if entrypoint_given else image.entrypoint
    command = asked.command or (() if entrypoint_given else image.command)
    if asked.system and not asked.command and not entrypoint_given:
        entrypoint, command = init_of(entrypoint, command)
    merged = replace(
        asked,
        entrypoint=entrypoint,
        command=command,
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


def init_of(entrypoint: tuple[str, ...], command: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What boots a whole system: what the image starts if that is an init, else its /sbin/init."""
    argv = entrypoint + command
    if argv and os.path.basename(argv[0]) in INITS:
        return entrypoint, command
    return (), ("/sbin/init",)


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
    _check_limits(config)
    if config.log.driver == "journald":
        from lxcwrap.actions import journal_fields

        journal_fields.check()
    for text in filter(None, (config.hostname, config.domainname)):
        check_hostname(text)


def _check_limits(config: ContainerConfig) -> None:
    """Refuse what this kernel cannot keep, by the flag's name."""
    resources = config.resources
    if resources == Resources(shm_size=resources.shm_size):
        return
    from lxcwrap.runtime import config as items
    from lxcwrap.runtime import host, limits

    items.limits(resources, host.facts())
    limits.prove(resources, host.facts())


def create(store: Store, driver: Driver, config: ContainerConfig, name: str | None, image: Image | None) -> Container:
    """Make the container.  Raises Conflict, UsageError, Unsafe, Unsupported or NotFound; then nothing is left."""
    check(config)
    if name:
        check_name(name, "container")
    config = _known_network(store, _known_namespaces(store, config))
    config = own_volumes(store, config)
    for attempt in range(_ATTEMPTS):
        try:
            return _add(store, driver, config, name or nicknames.suggest(attempt), image)
        except Conflict:
            if name or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def with_volumes_from(store: Store, config: ContainerConfig, others: tuple[str, ...]) -> ContainerConfig:
    """Add what ``CONTAINER[:ro|:rw]`` has mounted, but for targets that are taken.  Raises NotFound or UsageError."""
    mounts = list(config.mounts)
    for text in others:
        name, _, mode = text.partition(":")
        if mode not in ("", "ro", "rw"):
            raise UsageError(f"--volumes-from {text!r:.80}: {mode!r:.40} is neither ro nor rw")
        taken = {mount.target for mount in mounts}
        for mount in containers.resolve(store, name).config.mounts:
            if mount.kind in (MountKind.VOLUME, MountKind.BIND) and mount.target not in taken:
                mounts.append(replace(mount, read_only=mode == "ro" or (mount.read_only and mode != "rw")))
    return replace(config, mounts=tuple(mounts))


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


def _known_namespaces(store: Store, config: ContainerConfig) -> ContainerConfig:
    """As ``_known_network``, for ``--pid`` and ``--ipc``; with the host's UTS namespace goes its name."""
    found = config.namespaces
    foreign = namespaces.needs_host_ids(found)
    if foreign and config.security.user_namespace is UserNamespace.PRIVATE:
        raise Unsupported(f"{foreign}: it does not go with --userns=private")
    for kind in ("pid", "ipc"):
        value, _, name = getattr(found, kind).partition(":")
        if value != "container":
            continue
        other = containers.resolve(store, name)
        namespaces.check_joined(f"--{kind}", name, other.config.namespaces.ipc, other.id_base)
        found = replace(found, **{kind: f"container:{other.id}"})
    hostname = os.uname().nodename if found.uts else config.hostname
    return replace(config, namespaces=found, hostname=hostname)


def own_volumes(store: Store, config: ContainerConfig) -> ContainerConfig:
    """Make the volumes that are missing; anonymous ones get their names here."""
    mounts = []
    for mount in config.mounts:
        if mount.kind is MountKind.VOLUME:
            if mount.driver_options:
                from lxcwrap.actions import volume_sources

                volume_sources.check(mount.driver_options)
            volume = volumes.create(store, mount.source, labels=mount.labels, options=mount.driver_options)
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
            os.mkdir(place, 0o710)  # its own root passes through it, nobody else on the host does
            os.chown(place, 0, id_base or 0)
            driver.prepare(place, lowers(store, chain_id) if chain_id else (), id_base)
            prepare_images(store, driver, place, config, id_base)
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
            volumes.attach(store, container_id, volume_names(config))
            attach_images(store, container_id, config)
    except BaseException:
        staging.discard(store.paths, place)
        raise
    return container


def prepare_images(store: Store, driver: Driver, place: str, config: ContainerConfig, id_base: int | None) -> None:
    """Make what the images that are mounted need in the container's directory."""
    if any(mount.kind is MountKind.IMAGE for mount in config.mounts):
        from lxcwrap.actions import image_mounts

        image_mounts.prepare(store, driver, place, config, id_base)


def attach_images(store: Store, container_id: str, config: ContainerConfig) -> None:
    """Keep the images that are mounted."""
    mounted = [mount.image for mount in config.mounts if mount.kind is MountKind.IMAGE]
    if mounted:
        images.attach(store, container_id, mounted)


def volume_names(config: ContainerConfig) -> list[str]:
    """The volumes that are mounted."""
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
    foreign = namespaces.needs_host_ids(config.namespaces) or config.network.mode == "host"
    if foreign and wanted is UserNamespace.DEFAULT:
        return None  # in a namespace of its own root could not use the host's network as root
    first, count = idmap.subordinate_range()
    base = containers.free_id_base(store, first, count)
    if base is None:
        raise RuntimeFailure(f"all {count} ranges of host ids are in use", hint="remove containers")
    return base
