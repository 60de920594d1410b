"""Networks of the user's own: made, removed, joined and left."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import replace

from lxcwrap.actions import networks, ports
from lxcwrap.errors import Conflict, LxcwrapError, NotFound, NotPermitted, Unsupported, UsageError
from lxcwrap.kernel import veth
from lxcwrap.model.container import Attachment, NetworkConfig
from lxcwrap.model.names import check_name, check_text
from lxcwrap.model.network import NetworkDefinition, check_subnet
from lxcwrap.model.selection import labels_match
from lxcwrap.network import addresses, default, names, several, user
from lxcwrap.runtime import state
from lxcwrap.store import containers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

PRUNE_FILTERS = ("label", "label!")
_BRIDGE = "com.docker.network.bridge.name"
_MTU = ("com.docker.network.driver.mtu", "mtu")
_PREDEFINED = (default.NAME, "default", "host", "none")


def create(
    store: Store,
    name: str,
    *,
    subnet: str = "",
    gateway: str = "",
    ip_range: str = "",
    reserved: tuple[tuple[str, str], ...] = (),
    internal: bool = False,
    labels: tuple[tuple[str, str], ...] = (),
    options: tuple[tuple[str, str], ...] = (),
) -> str:
    """Its id.  Raises UsageError for values that do not fit together, Unsupported for an option, or Conflict."""
    check_name(name, "network")
    if name in _PREDEFINED:
        raise NotPermitted(f"operation is not permitted on predefined {name} network")
    for key, value in (*labels, *options):
        check_text(f"{key}={value}", "label or option", newlines=True)
    if not subnet and (gateway or ip_range or reserved):
        raise UsageError("--gateway, --ip-range and --aux-address need a --subnet", exit_code=1)
    wanted = NetworkDefinition(
        id="", name=name, bridge=dict(options).get(_BRIDGE, ""), subnet=subnet, gateway=gateway, mtu=_mtu(options),
        ip_range=ip_range, reserved=reserved, internal=internal, labels=labels, options=options,
    )  # fmt: skip
    _check(wanted)
    return user.create(store, wanted).id


def _mtu(options: tuple[tuple[str, str], ...]) -> int:
    mtu = 0
    for key, value in options:
        if key in _MTU:
            if not value.isdecimal() or not 576 <= int(value) <= 65535:
                raise UsageError(f"network option {key}={value!r:.40} is not between 576 and 65535", exit_code=1)
            mtu = int(value)
        elif key != _BRIDGE:
            raise Unsupported(f"network option {key!r:.80} is not supported", hint=f"known: {_BRIDGE}, {_MTU[0]}")
    return mtu


def _check(wanted: NetworkDefinition) -> None:
    if wanted.bridge and (len(wanted.bridge) > 15 or not check_name(wanted.bridge, "bridge")):
        raise UsageError(f"bridge name {wanted.bridge!r} is longer than 15 characters", exit_code=1)
    if not wanted.subnet:
        return
    subnet = check_subnet(wanted.subnet, "--subnet")
    if wanted.ip_range and not _network(wanted.ip_range).subnet_of(subnet):
        raise UsageError(f"--ip-range {wanted.ip_range} is not inside {subnet}", exit_code=1)
    for flag, address in (("--gateway", wanted.gateway), *(("--aux-address", item[1]) for item in wanted.reserved)):
        if address and _address(address, flag) not in subnet:
            raise UsageError(f"{flag} {address} is not inside {subnet}", exit_code=1)


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise UsageError(f"--ip-range {text!r:.60}: {error}", exit_code=1) from None


def _address(text: str, flag: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise UsageError(f"{flag} {text!r:.60} is not an IPv4 address", exit_code=1) from None


def remove(store: Store, text: str) -> None:
    """Raises NotFound, NotPermitted for a built-in one, and Conflict while a container runs on it."""
    name = networks.resolve(store, text)
    if name in _PREDEFINED:
        raise NotPermitted(f"{name} is a pre-defined network and cannot be removed")
    definition = user.get(store, name)
    running = _running(store, definition)
    if running:
        raise Conflict(
            f"network {name} has active endpoints: {', '.join(running)}",
            hint=f"stop them, or: lxcwrap network disconnect {name} {running[0]}",
        )
    user.remove(store, definition)


def _running(store: Store, definition: NetworkDefinition) -> list[str]:
    rows = store.db.execute(
        "SELECT c.id, c.name FROM leases l JOIN containers c ON c.id = l.container_id WHERE l.network_id = ?",
        (definition.id,),
    ).fetchall()
    return sorted(row["name"] for row in rows if ports.is_held(store, row["id"]))


def prune(store: Store, filters: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Remove the networks that no container, running or not, is on; their names."""
    used = {item.name for one in containers.listing(store) for item in one.config.network.attachments}
    removed = []
    for definition in user.listing(store):
        labels = dict(definition.labels)
        unwanted = any(labels_match((item,), labels) for item in filters.get("label!", ()))
        if definition.name in used or unwanted or not labels_match(filters.get("label", ()), labels):
            continue
        user.remove(store, definition)
        removed.append(definition.name)
    return removed


def connect(store: Store, text: str, container: Container, wanted: Attachment) -> None:
    """Put the container on one more network, at once when it runs.  ``wanted.name`` is set here.  Raises Conflict."""
    name = networks.resolve(store, text)
    config = container.config.network
    if name in ("host", "none") or not config.attachments:
        raise Conflict(f"container {container.name} (network {config.mode}) cannot be connected to network {name}")
    if name in (item.name for item in config.attachments):
        raise Conflict(f"container {container.name} is already on network {name}")
    attachment = replace(wanted, name=name)
    definition = several.ensure(store, name)
    changed = replace(config, more=(*config.more, attachment))
    address, mac = addresses.lease(store, definition, container.id, attachment.mac, attachment.ip)
    try:
        _plug(store, container, definition, address, mac)
        container = _configure(store, container, changed)
        if name != default.NAME and state.read(store.paths, container.id).live:
            several.announce_on(store, container, definition, attachment, _held(store))
    except BaseException:
        veth.drop(several.pair_name(container.id, definition))
        _release(store, definition, container)
        raise


def renamed(store: Store, container: Container) -> None:
    """Its networks know the container that runs by its new name."""
    if state.read(store.paths, container.id).live:
        several.announce(store, container, _held(store))


def _held(store: Store) -> names.Held:
    return lambda other: ports.is_held(store, other)


def _plug(store: Store, container: Container, definition: NetworkDefinition, address: str, mac: str) -> None:
    """A device for the container that runs; for another it is made when it starts."""
    known = state.read(store.paths, container.id)
    if not known.live or not known.pid:
        return
    pair = veth.Pair(
        several.pair_name(container.id, definition), definition.bridge, mac, address, definition.prefix, "",
        definition.mtu,
    )  # fmt: skip
    veth.drop(pair.name)
    try:
        namespace = os.open(f"/proc/{known.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # it ended meanwhile
    try:
        veth.plug(pair, namespace)
    except OSError as error:
        raise LxcwrapError(f"container {container.name} cannot be connected: {error.strerror}") from error
    finally:
        os.close(namespace)


def _configure(store: Store, container: Container, network: NetworkConfig) -> Container:
    config = replace(container.config, network=network)
    containers.reconfigure(store, container.id, config)
    return replace(container, config=config)


def _release(store: Store, definition: NetworkDefinition, container: Container) -> None:
    with store.transaction(removing=True) as db:
        db.execute("DELETE FROM leases WHERE network_id = ? AND container_id = ?", (definition.id, container.id))


def disconnect(store: Store, text: str, container: Container) -> None:
    """Take the container off a network, at once when it runs.  Raises NotFound or Conflict."""
    name = networks.resolve(store, text)
    config = container.config.network
    if name not in (item.name for item in config.attachments):
        raise NotFound(f"container {container.name} is not connected to network {name}")
    if name == config.mode and state.read(store.paths, container.id).live:
        raise Conflict(
            f"{name} is the first network of container {container.name}, which runs",
            hint="stop the container first; its other networks can be left at any time",
        )
    definition = user.get(store, name)
    if name == config.mode:
        changed = _without_first(config)
    else:
        changed = replace(config, more=tuple(item for item in config.more if item.name != name))
    _configure(store, container, changed)
    veth.drop(several.pair_name(container.id, definition))
    names.withdraw(store.paths, definition.id, container.id, _held(store))
    _release(store, definition, container)


def _without_first(config: NetworkConfig) -> NetworkConfig:
    if not config.more:
        return replace(config, mode="none", ip="", aliases=(), mac_address="")
    first, *others = config.more
    return replace(
        config, mode=first.name, ip=first.ip, aliases=first.aliases, mac_address=first.mac, more=tuple(others)
    )
