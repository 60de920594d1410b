"""``start``: everything that a supervisor has to be told, and telling it."""

from __future__ import annotations

import os
import sys

from lxcwrap.actions import mount_sources, ports, remains
from lxcwrap.actions.stop import signal_number
from lxcwrap.errors import Conflict, RuntimeFailure
from lxcwrap.model.container import ContainerConfig
from lxcwrap.runtime import connect, namespaces, plans, siblings, state
from lxcwrap.runtime.spawn import Channel
from lxcwrap.storage.layers import lowers
from lxcwrap.store import volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_FINISH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "finish.py")
_TEARDOWN = 15.0  # seconds that the previous run may take to be taken down


def start(store: Store, container: Container) -> None:
    """Start in the background; returns once the container runs.  Does nothing when it runs already.

    Raises RuntimeFailure, Conflict or NotFound.
    """
    if state.read(store.paths, container.id).live:
        return
    ports.claim(store, container.id)
    if state.read(store.paths, container.id).live:  # another process started it meanwhile
        ports.settled(container.id)
        return
    channel = launch(store, container)
    try:
        channel.wait_started()
        volumes.mark_filled(store, container.id)
    except RuntimeFailure:
        unpublish(store, container)
        raise
    finally:
        ports.settled(container.id)
        channel.close()


def launch(store: Store, container: Container, supervisor: int | None = None) -> Channel:
    """Give a supervisor the container to start: a fresh one, or the one (not sealed) waiting at a descriptor.

    The caller says ``ports.settled`` once the container runs.
    """
    ports.claim(store, container.id)
    sealed = container.id_base is None
    if supervisor is not None and sealed:
        os.close(supervisor)
        supervisor = None
    channel = Channel(siblings.supervisor(store.paths, sealed=sealed) if supervisor is None else supervisor)
    try:
        if not connect.wait_unsupervised(store.paths, container.id, _TEARDOWN):
            raise connect.held(store.paths, container.id, container.name)
        remains.clear(store, container)
        plan = _plan(store, container)
        channel.send_plan(plan)
    except BaseException:
        channel.close()
        unpublish(store, container)
        ports.settled(container.id)
        raise
    return channel


def _plan(store: Store, container: Container) -> dict[str, object]:
    config, paths = container.config, store.paths
    hostname = config.hostname or container.id[:12]
    planned = plans.for_container(
        container.id,
        config,
        directory=paths.container(container.id),
        run=paths.container_run(container.id),
        driver=container.driver,
        lowers=lowers(store, container.chain_id) if container.chain_id else (),
        id_base=container.id_base,
        hostname=hostname,
        network=_network(store, container),
        sources=mount_sources.found(store, container),
        joined=_joined(store, config),
        after=after(store, container),
    )
    if config.log.driver == "journald":
        from lxcwrap.actions import journal_fields

        planned["log"] = journal_fields.plan(container)
    return planned | {
        "events": {"path": paths.events, "attributes": container.attributes},
        "relays": relays(store, container),
        "stop": {"signal": signal_number(config.stop_signal or "SIGTERM"), "timeout": config.stop_timeout},
    }


def _joined(store: Store, config: ContainerConfig) -> dict[str, int]:
    """The init of each container whose namespaces are joined.  Raises Conflict when one does not run."""
    found = {}
    for container_id in namespaces.joined(config.namespaces):
        found[container_id] = state.read(store.paths, container_id).pid
        if not found[container_id]:
            raise Conflict(f"container {container_id[:12]}, whose namespace is to be joined, is not running")
    return found


def after(store: Store, container: Container) -> list[str]:
    """What takes down at the end what is outside the supervisor; nothing where there is nothing."""
    network = container.config.network
    if container.config.auto_remove or network.ports or network.publish_all or has_names(container):
        return [sys.executable, "-I", "-S", _FINISH, store.paths.root, container.id]
    return []


def has_names(container: Container) -> bool:
    """Whether it is on a network where containers know each other by name."""
    return any(item.name != "bridge" for item in container.config.network.attachments)


def _network(store: Store, container: Container) -> plans.Network:
    from lxcwrap.network import plan

    mode = container.config.network.mode
    ports.release_dead(store)
    planned = plan.plan(store, container)
    publish(store, container, planned.address, planned.address6)
    if has_names(container):
        from lxcwrap.network import several

        several.announce(store, container, lambda other: ports.is_held(store, other))
    items = tuple(planned.config_items)
    if planned.join:
        pid = state.read(store.paths, planned.join).pid
        if not pid:
            raise Conflict(f"container {planned.join[:12]}, whose network is to be joined, is not running")
        items = (("lxc.namespace.share.net", str(pid)),)
    own = mode != "host" and not planned.join
    return plans.Network(items, planned.hosts, planned.resolv_conf, own, planned.inside)


def publish(store: Store, container: Container, address: str, address6: str) -> None:
    """Make the host's ports lead to these addresses of the container's."""
    network = container.config.network
    if network.ports or network.publish_all:
        from lxcwrap.network import publish

        publish.publish(
            store,
            container.id,
            network.ports,
            container.config.exposed,
            network.publish_all,
            address,
            address6,
            is_running=lambda other: ports.is_held(store, other),
        )
        _open_directly(store, container)


def unpublish(store: Store, container: Container) -> None:
    """Give the host's ports back, and the names on networks."""
    network = container.config.network
    if has_names(container):
        from lxcwrap.network import several

        several.withdraw(store, container, lambda other: ports.is_held(store, other))
    if network.ports or network.publish_all:
        from lxcwrap.network import publish

        publish.unpublish(store, container.id)
        _open_directly(store, container)


def relays(store: Store, container: Container) -> list[tuple[int, str, int]]:
    """The ports on ::1, which its supervisor passes on."""
    if not container.config.network.ports and not container.config.network.publish_all:
        return []
    from lxcwrap.network import publish

    return publish.relays(store, container.id)


def _open_directly(store: Store, container: Container) -> None:
    if has_names(container):
        from lxcwrap.network import several

        several.open_directly(store, container)
