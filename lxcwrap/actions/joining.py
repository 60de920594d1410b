"""Networks that a container joins and leaves, also while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lxcwrap.actions import networks, ports, start, update
from lxcwrap.errors import Conflict, LxcwrapError, NotFound
from lxcwrap.kernel import veth
from lxcwrap.model.container import Attachment, NetworkConfig
from lxcwrap.model.network import NetworkDefinition, NetworkPlan
from lxcwrap.network import addresses, default, embedded, links, names, several, user
from lxcwrap.network import plan as plans
from lxcwrap.runtime import inside, state
from lxcwrap.store import containers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store


def connect(store: Store, text: str, container: Container, wanted: Attachment) -> None:
    """Put the container on one more network, at once when it runs.  ``wanted.name`` is set here.  Raises Conflict."""
    name = networks.resolve(store, text)
    config = container.config.network
    if name in ("host", "none") or not (config.attachments or config.left):
        raise Conflict(f"container {container.name} (network {config.mode}) cannot be connected to network {name}")
    if name in (item.name for item in config.attachments):
        raise Conflict(f"container {container.name} is already on network {name}")
    attachment = replace(wanted, name=name)
    changed = _with_networks(config, (*config.attachments, attachment))
    link = several.join(store, container, attachment)
    try:
        if state.read(store.paths, container.id).live:
            _connect_now(store, container, changed, link)
        else:
            _configure(store, container, changed)
    except BaseException:
        _configure(store, container, config)
        _part(store, container, link.definition, link.address)
        raise


def _connect_now(store: Store, container: Container, changed: NetworkConfig, link: several.Link) -> None:
    before = several.describe(store, container, several.joined(store, container))
    with _namespace(store, container) as namespace:
        if namespace >= 0:
            _plug(container, link, namespace)
    container = _configure(store, container, changed)
    if link.definition.name != default.NAME:
        several.announce_on(store, container, link, _held(store))
    _rewire(store, container, before, several.describe(store, container, several.joined(store, container)))


def disconnect(store: Store, text: str, container: Container) -> None:
    """Take the container off a network, at once when it runs.  Raises NotFound."""
    name = networks.resolve(store, text)
    config = container.config.network
    if name not in (item.name for item in config.attachments):
        raise NotFound(f"container {container.name} is not connected to network {name}")
    changed = _with_networks(config, tuple(item for item in config.attachments if item.name != name))
    left = replace(container, config=replace(container.config, network=changed))
    if not state.read(store.paths, container.id).live:
        _configure(store, container, changed)
        definition = user.find(store, name)
        if definition:  # not: the default one that was never made, or one that was removed meanwhile
            addresses.release(store, definition.id, container.id)
        return
    found = several.joined(store, container)
    lost = next(link for link in found if link.definition.name == name)
    before = several.describe(store, container, found)
    after = several.describe(store, left, tuple(link for link in found if link is not lost))
    _configure(store, container, changed)
    _part(store, container, lost.definition, lost.address)
    _rewire(store, left, before, after)


def renamed(store: Store, container: Container) -> None:
    """Its networks know the container that runs by its new name."""
    if state.read(store.paths, container.id).live:
        several.announce(store, container, _held(store))


def _held(store: Store) -> names.Held:
    return lambda other: ports.is_held(store, other)


def _with_networks(config: NetworkConfig, attachments: tuple[Attachment, ...]) -> NetworkConfig:
    """The configuration with these networks.  Without any it remembers the last one: it can be connected again."""
    if not attachments:
        return replace(config, mode="none", ip="", ip6="", aliases=(), mac_address="", left=config.mode)
    first, *others = attachments
    return replace(
        config, mode=first.name, ip=first.ip, ip6=first.ip6, aliases=first.aliases, mac_address=first.mac,
        more=tuple(others), left="",
    )  # fmt: skip


def _configure(store: Store, container: Container, network: NetworkConfig) -> Container:
    config = replace(container.config, network=network)
    containers.reconfigure(store, container.id, config)
    return replace(container, config=config)


@contextmanager
def _namespace(store: Store, container: Container) -> Iterator[int]:
    """A descriptor of the running container's network namespace; -1 when it does not run."""
    known = state.read(store.paths, container.id)
    try:
        namespace = os.open(f"/proc/{known.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC) if known.live and known.pid else -1
    except FileNotFoundError:
        namespace = -1  # it ended meanwhile
    try:
        yield namespace
    finally:
        if namespace >= 0:
            os.close(namespace)


def _plug(container: Container, link: several.Link, namespace: int) -> None:
    """A device for the container that runs; for another it is made when it starts."""
    config = container.config.network
    try:
        links.plug(link, namespace, hairpin=bool(config.ports or config.publish_all))
    except OSError as error:
        raise LxcwrapError(f"container {container.name} cannot be connected: {error.strerror}") from error


def _part(store: Store, container: Container, definition: NetworkDefinition, address: str) -> None:
    """Take away its device, its names and its address there."""
    with _namespace(store, container) as namespace:
        if namespace >= 0:
            veth.unplug(namespace, address)
    veth.drop(several.pair_name(container.id, definition))
    if definition.name == default.NAME:
        veth.drop(plans.pair_name(container.id))
    names.withdraw(store.paths, definition.id, container.id, _held(store))
    addresses.release(store, definition.id, container.id)


def _rewire(store: Store, container: Container, before: NetworkPlan, after: NetworkPlan) -> None:
    """Let the container that runs have what it would have had from the start: routes, files, ports, a resolver."""
    known = state.read(store.paths, container.id)
    if not known.live:
        return
    directory = store.paths.container(container.id)
    _rewrite(f"{directory}/hosts", before.hosts, after.hosts)
    _rewrite(f"{directory}/resolv.conf", before.resolv_conf, after.resolv_conf)
    assert after.inside
    hook = inside.write(directory, after.inside)
    _publish(store, container, after)
    news = {
        "network": [*after.config_items, *hook],
        "inside": after.inside,
        "after": start.after(store, container),
        "relays": start.relays(store, container),
    }
    if not update.inform(store, container, news):
        return  # it has ended
    if known.pid:
        _enter(container, f"{directory}/{inside.NAME}", known.pid)
    if not after.inside["resolver"]:
        embedded.stop(store.paths, container.id)


def _rewrite(path: str, before: str, after: str) -> None:
    """The container has the file mounted, so it is changed in its place; not when the container changed it itself."""
    try:
        with open(path, "r+", encoding="utf-8", errors="replace") as stream:
            if stream.read() != before or before == after:
                return
            stream.seek(0)
            stream.write(after)
            stream.truncate()
    except FileNotFoundError:
        return  # the user has mounted one there


def _enter(container: Container, path: str, pid: int) -> None:
    argv = [sys.executable, "-I", "-S", os.path.abspath(inside.__file__), path]
    environment = {**os.environ, "LXC_PID": str(pid)}
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, env=environment)
    if done.returncode and os.path.exists(f"/proc/{pid}"):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise LxcwrapError(
            f"the network inside container {container.name} cannot be set up: {said[-1] if said else '?'}"
        )


def _publish(store: Store, container: Container, after: NetworkPlan) -> None:
    config = container.config.network
    if not (config.ports or config.publish_all):
        return
    from lxcwrap.network import publish

    if publish.published(store, container.id):
        publish.repoint(store, container.id, after.address, after.address6)
        several.open_directly(store, container)
    else:
        start.publish(store, container, after.address, after.address6)
