"""What a container gets that is on networks of the user's own, one or several."""

from __future__ import annotations

import socket
from sqlite3 import IntegrityError
from typing import Any, NamedTuple

from lxcwrap.errors import NotFound, UsageError
from lxcwrap.kernel import veth
from lxcwrap.model.container import Attachment, NetworkConfig
from lxcwrap.model.network import NetworkDefinition, NetworkPlan
from lxcwrap.network import addresses, default, embedded, names, resolv, settings, user
from lxcwrap.network import links as devices
from lxcwrap.network import plan as plans
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store


class Link(NamedTuple):
    """A container's device on one network; ``pair`` is its end on the host."""

    definition: NetworkDefinition
    attachment: Attachment
    address: str
    mac: str
    address6: str
    pair: str


def plan(store: Store, container: Container) -> NetworkPlan:
    """For a container that is about to start.  Raises NotFound, Conflict, UsageError or Unsupported."""
    config = container.config.network
    if config.ports or config.publish_all:
        default.ensure(store)  # its table has the maps of published ports
    links = joined(store, container)
    for link in links:
        veth.drop(link.pair)
    return describe(store, container, links)


def joined(store: Store, container: Container) -> tuple[Link, ...]:
    """Its networks, made where they are missing, and an address on each.  Raises as ``plan``."""
    return tuple(join(store, container, attachment) for attachment in container.config.network.attachments)


def join(store: Store, container: Container, attachment: Attachment) -> Link:
    """One of them."""
    definition = ensure(store, attachment.name)
    try:
        address, mac = addresses.lease(store, definition, container.id, attachment.mac, attachment.ip)
        address6 = addresses.lease6(store, definition, container.id, address, attachment.ip6)
    except IntegrityError:  # its row went away meanwhile
        raise NotFound(f"network {definition.name} was removed meanwhile", exit_code=125) from None
    return Link(definition, attachment, address, mac, address6, pair_name(container.id, definition))


def describe(store: Store, container: Container, links: tuple[Link, ...]) -> NetworkPlan:
    """What the container starts with, or would have started with: its networks can change while it runs."""
    config = container.config.network
    out, out6 = way_out(links), way_out6(links)
    published = bool(config.ports or config.publish_all)
    if published and out and out.definition.driver != "bridge":
        name = out.definition.name
        raise UsageError(
            f"no port is published on network {name}: its containers have addresses of their own there",
            hint="leave -p out, or name a network of driver bridge before it",
        )
    items: tuple[tuple[str, str], ...] = ()
    hosts = plans.LOCAL
    for number, link in enumerate(links):
        items += devices.items(link, number, gateway=link is out, hairpin=published)
        hosts += plans.own_line(container, link.address)
        if link.address6:
            hosts += plans.own_line(container, link.address6)
    return NetworkPlan(
        config_items=items or plans.EMPTY,
        address=out.address if out else "",
        gateway=out.definition.gateway if out else "",
        mac=links[0].mac if links else "",
        hosts=hosts + plans.extra_lines(config, _host(links)),
        resolv_conf=_resolv(store, config, links),
        address6=out6.address6 if out6 else "",
        inside=_inside(store, container, links),
    )


def _host(links: tuple[Link, ...]) -> str:
    """The host's address as the container sees it: on an internal network, too; '' where it sees none."""
    out = way_out(links)
    bridges = [link for link in (*((out,) if out else ()), *links) if link.definition.driver == "bridge"]
    return bridges[0].definition.gateway if bridges else ""


def way_out(links: tuple[Link, ...]) -> Link | None:
    """By which the container goes out, and what is published comes in: the first that leads anywhere."""
    return next((link for link in links if not link.definition.internal), None)


def way_out6(links: tuple[Link, ...]) -> Link | None:
    return next((link for link in links if link.address6 and not link.definition.internal), None)


def ensure(store: Store, name: str) -> NetworkDefinition:
    """Bridge and rules of any network that has a bridge."""
    return default.ensure(store) if name == default.NAME else user.ensure(store, name)


def pair_name(container_id: str, definition: NetworkDefinition) -> str:
    """The host's end (15 characters at most): a container has one on each network."""
    return f"lxv{container_id[:7]}{definition.id[:5]}"


def _definitions(links: tuple[Link, ...]) -> tuple[NetworkDefinition, ...]:
    return tuple(link.definition for link in links)


def _resolv(store: Store, config: NetworkConfig, links: tuple[Link, ...]) -> str:
    """The resolver of its only network that has names, or one of its own; without either as on the default bridge."""
    configured, found = settings.read(store), _definitions(links)
    own = [one.gateway for one in found if one.name != default.NAME]
    if embedded.is_needed(config, found):
        servers: tuple[str, ...] = (embedded.ADDRESS,)
    else:
        servers = tuple(own[:1]) or config.dns or configured.dns
    return resolv.contents(
        resolv.host_text(),
        servers,
        config.dns_search or configured.dns_search,
        config.dns_options or configured.dns_options,
    )


def _inside(store: Store, container: Container, links: tuple[Link, ...]) -> dict[str, Any] | None:
    """What runtime.inside does in the namespace."""
    config, found = container.config.network, _definitions(links)
    resolver: list[str] = []
    if embedded.is_needed(config, found):
        servers = embedded.servers(config, settings.read(store).dns, found)
        resolver = embedded.command(store.paths, container.id, found, servers)
    return {
        "resolver": resolver,
        "pid_file": embedded.pid_file(store.paths, container.id),
        "pairs": [link.pair for link in links if link.definition.driver == "bridge"],
        "links": [[link.address, link.address6, link.definition.prefix6] for link in links if link.address6],
        "gateways": _gateways(way_out(links), way_out6(links)),
    }


def _gateways(out: Link | None, out6: Link | None) -> list[list[Any]]:
    """(family, address of the link, gateway) of each default route."""
    found: list[list[Any]] = []
    if out:
        found.append([int(socket.AF_INET), out.address, out.definition.gateway])
    if out6:
        found.append([int(socket.AF_INET6), out6.address, out6.definition.gateway6])
    return found


def open_directly(store: Store, container: Container) -> None:
    """The container's published ports have changed: let routed networks know."""
    for attachment in container.config.network.attachments:
        definition = user.find(store, attachment.name) if attachment.name != default.NAME else None
        if definition:
            user.open_directly(store, definition)


def announce(store: Store, container: Container, is_held: names.Held) -> None:
    """Make the container's names known on its networks.  Its addresses are leased."""
    for attachment in container.config.network.attachments:
        if attachment.name != default.NAME:
            announce_on(store, container, join(store, container, attachment), is_held)


def revive(store: Store) -> None:
    """See that the names of all networks are told, where something killed who tells them."""
    for definition in user.listing(store):
        names.revive(store.paths, definition, settings.read(store).dns)


def announce_on(store: Store, container: Container, link: Link, is_held: names.Held) -> None:
    """The same on one network."""
    servers = settings.read(store).dns
    known = names_of(container, link.attachment)
    found = tuple(filter(None, (link.address, link.address6)))
    names.announce(store.paths, link.definition, container.id, found, known, is_held, servers)


def names_of(container: Container, attachment: Attachment) -> tuple[str, ...]:
    """Name, short id, aliases and the host name, each once."""
    hostname = container.config.hostname if _serves(container) else ""
    found = (container.name, container.id[:12], *attachment.aliases, hostname)
    return tuple(dict.fromkeys(name for name in found if name))


def _serves(container: Container) -> bool:
    """A container that a deployment made answers to its host name only while it has the name of its slot."""
    labels = dict(container.config.labels)
    slot = "-".join(labels.get(f"lxcwrap.{word}", "") for word in ("app", "service", "slot"))
    return "lxcwrap.app" not in labels or container.name == slot


def withdraw(store: Store, container: Container, is_held: names.Held) -> None:
    """Forget its names everywhere, and end the resolver of its own."""
    embedded.stop(store.paths, container.id)
    for attachment in container.config.network.attachments:
        definition = user.find(store, attachment.name) if attachment.name != default.NAME else None
        if definition:
            names.withdraw(store.paths, definition.id, container.id, is_held)
