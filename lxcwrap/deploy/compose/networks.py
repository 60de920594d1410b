"""Networks: those of the application, and how a service is on them."""

from __future__ import annotations

from collections.abc import Iterator

from lxcwrap.deploy.application import Network, Pairs, PublishedPort
from lxcwrap.deploy.compose import flags
from lxcwrap.deploy.compose.kinds import Object
from lxcwrap.deploy.compose.model import DEFAULT_NETWORK, Model, is_external
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import checked
from lxcwrap.deploy.compose.table import NETWORK
from lxcwrap.model import run_flags
from lxcwrap.model.names import check_hostname

Words = tuple[tuple[str, tuple[str, ...]], ...]

_MODES = ("host", "none", "bridge")


def used(model: Model) -> tuple[Network, ...]:
    """The networks that services are on, in the file's order."""
    names = {name for service in model.services.values() for name, _ in _joined(service)}
    entries = model.entries("networks")
    if DEFAULT_NETWORK in names and DEFAULT_NETWORK not in entries:
        return (Network(DEFAULT_NETWORK, model.key(DEFAULT_NETWORK, None)), *_listed(model, names))
    return _listed(model, names)


def _listed(model: Model, names: set[str]) -> tuple[Network, ...]:
    found = []
    for name, entry in model.entries("networks").items():
        if name in names:
            external = is_external(entry)
            found.append(Network(name, model.key(name, entry), external, () if external else tuple(_words(entry))))
    return tuple(found)


def _words(entry: Node) -> Iterator[str]:
    yield from flags.of(NETWORK, entry)
    blocks = entry.child("ipam", "config")
    kind = NETWORK.fields["ipam"].kind
    assert isinstance(kind, Object)
    for block in blocks.items if blocks else ():
        item = kind.fields["config"].kind.item  # type: ignore[attr-defined]
        yield from flags.of(item, block)


def _joined(service: Node) -> list[tuple[str, Node]]:
    """(name, settings) of the networks that a service is on, the one with the way out first."""
    if service.get("network_mode"):
        return []
    networks = service.child("networks")
    if networks is None or not networks.mapping:
        return [(DEFAULT_NETWORK, service.with_value({}))]
    return sorted(networks.mapping.items(), key=_rank)


def _rank(item: tuple[str, Node]) -> tuple[int, int]:
    return (-item[1].get("gw_priority", default=0), -item[1].get("priority", default=0))


def of(model: Model, name: str, service: Node) -> tuple[Words, Pairs]:
    """Flags of ``create`` by network, without aliases; and the aliases (network, alias)."""
    place = f"services.{name}"
    if service.get("network_mode"):
        mode = _mode(service, place)
        return ((mode, (f"--network={mode}", *_own_mac(service, mode, place))),), ()
    words: list[tuple[str, tuple[str, ...]]] = []
    aliases: list[tuple[str, str]] = []
    for network, settings in _joined(service):
        where = f"{place}.networks.{network}"
        key = model.key(network, model.known("networks", network, settings, f"{place}.networks"))
        names = _aliases(name, service, settings, where)
        addresses = tuple(_addresses(service, settings, where, first=not words))
        words.append((key, _network_words(key, addresses, first=not words)))
        aliases += [(key, alias) for alias in names]
    return tuple(words), tuple(aliases)


def _network_words(key: str, addresses: tuple[str, ...], *, first: bool) -> tuple[str, ...]:
    """Flags of ``create``; those for addresses belong to the first network."""
    if first:
        return (f"--network={key}", *(f"--{word}" for word in addresses))
    return (f"--network={','.join((f'name={key}', *addresses))}" if addresses else f"--network={key}",)


def _mode(service: Node, place: str) -> str:
    node = service.child("network_mode")
    mode = service.get("network_mode")
    assert node
    if service.child("networks"):
        raise node.error(f"{place}: network_mode and networks exclude each other")
    if mode.startswith(("service:", "container:")):
        raise node.error(f"{place}.network_mode: {mode:.60} is not supported: a container that shares another's "
                         "network would have to go with it from host to host")  # fmt: skip
    if mode not in _MODES:
        raise node.error(f"{place}.network_mode: {mode!r:.60} is not host, none or bridge")
    return str(mode)


def _own_mac(service: Node, mode: str, place: str) -> tuple[str, ...]:
    mac = service.child("mac_address")
    if mac and mode != "bridge":
        raise mac.error(f"{place}: mac_address does not go with network_mode {mode}")
    return (f"--mac-address={_mac(mac, place)}",) if mac else ()


def _mac(node: Node, place: str) -> str:
    checked(node, f"{place}.mac_address", lambda text: run_flags.attachment("n", "", text))
    return node.text


def _aliases(name: str, service: Node, settings: Node, place: str) -> tuple[str, ...]:
    own = settings.child("aliases")
    found = [name, *([service.get("container_name")] if service.get("container_name") else [])]
    found += [alias.text for alias in (own.items if own else ())]
    for alias in found:
        checked(Node(alias, settings.mark, alias), f"{place}: alias", check_hostname)
    return tuple(dict.fromkeys(found))


def _addresses(service: Node, settings: Node, place: str, *, first: bool) -> Iterator[str]:
    for key, word in (("ipv4_address", "ip"), ("ipv6_address", "ip6")):
        node = settings.child(key)
        if node:
            address = checked(node, place, lambda text: run_flags.ip(text, "the value"))
            if (":" in address) != (word == "ip6"):
                raise node.error(f"{place}.{key}: {node.text!r:.60} is an address of the other family")
            yield f"{word}={address}"
    mac = settings.child("mac_address") or (service.child("mac_address") if first else None)
    if mac:
        yield f"mac-address={_mac(mac, place)}"


def ports(model: Model, name: str, service: Node) -> tuple[PublishedPort, ...]:
    node = service.child("ports")
    found = tuple(_port(item, f"services.{name}.ports") for item in (node.items if node else ()))
    if found and node and service.get("network_mode") in ("host", "none"):
        mode = service.get("network_mode")
        if mode == "none":
            raise node.error(f"services.{name}: ports do not go with network_mode none")
        model.warn(f"{node.mark}: services.{name}.ports has no effect with network_mode host: its ports are the host's")
        return ()
    return found


def _port(item: Node, place: str) -> PublishedPort:
    published = item.get("published", default="") or "0"
    if not published.isdigit() or int(published) > 65535:
        what = "a range of which a free one is taken" if "-" in published else "no port"
        raise item.error(f"{place}: published {published!r:.40} is {what}", "write one port, or none for any")
    address = item.child("host_ip")
    ip = checked(address, place, lambda text: run_flags.ip(text, "host_ip")) if address and address.text else ""
    return PublishedPort(item.get("target"), int(published), item.get("protocol", default="tcp"), ip)
