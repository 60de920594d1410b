"""What a container gets that is on networks of the user's own, one or several."""

from __future__ import annotations

from sqlite3 import IntegrityError

from lxcwrap.errors import NotFound, UsageError
from lxcwrap.kernel import veth
from lxcwrap.model.container import Attachment
from lxcwrap.model.network import NetworkDefinition, NetworkPlan
from lxcwrap.network import addresses, default, names, resolv, settings, user
from lxcwrap.network import plan as plans
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store


def plan(store: Store, container: Container) -> NetworkPlan:
    """Leases an address on each.  The first one has the default route.  Raises NotFound, Conflict or UsageError."""
    config = container.config.network
    if config.ports or config.publish_all:
        default.ensure(store)  # its table has the maps of published ports
    items: tuple[tuple[str, str], ...] = ()
    hosts, first, taken = plans.LOCAL, None, ("", "")
    for number, attachment in enumerate(config.attachments):
        definition = ensure(store, attachment.name)
        address, mac = _lease(store, definition, container.id, attachment)
        name = pair_name(container.id, definition)
        veth.drop(name)
        items += _numbered(plans.veth_items(definition, name, address, mac), number)
        if config.ports or config.publish_all:
            key, value = plans.hairpin_item(name)
            items += ((key.replace(".0.", f".{number}."), value),)
        hosts += plans.own_line(container, address)
        if first is None:
            first, taken = definition, (address, mac)
    assert first
    return NetworkPlan(
        config_items=items,
        address=taken[0],
        gateway=first.gateway,
        mac=taken[1],
        hosts=hosts + plans.extra_lines(config, first.gateway),
        resolv_conf=_resolv(store, container),
    )


def ensure(store: Store, name: str) -> NetworkDefinition:
    """Bridge and rules of any network that has a bridge."""
    return default.ensure(store) if name == default.NAME else user.ensure(store, name)


def _lease(store: Store, definition: NetworkDefinition, container_id: str, wanted: Attachment) -> tuple[str, str]:
    try:
        return addresses.lease(store, definition, container_id, wanted.mac, wanted.ip)
    except IntegrityError:  # its row went away meanwhile
        raise NotFound(f"network {definition.name} was removed meanwhile", exit_code=125) from None


def _numbered(items: tuple[tuple[str, str], ...], number: int) -> tuple[tuple[str, str], ...]:
    """The items of the container's device of that number: only the first has a default route."""
    return tuple(
        (key.replace(".0.", f".{number}.", 1), f"eth{number}" if key.endswith(".name") else value)
        for key, value in items
        if not (number and key.endswith(".gateway"))
    )


def pair_name(container_id: str, definition: NetworkDefinition) -> str:
    """The host's end (15 characters at most): a container has one on each network."""
    return f"lxv{container_id[:7]}{definition.id[:5]}"


def _resolv(store: Store, container: Container) -> str:
    """The resolver of the first network that has names; it asks the host's resolvers for everything else."""
    config, configured = container.config.network, settings.read(store)
    own = [user.get(store, item.name) for item in config.attachments if item.name != default.NAME]
    if config.dns:
        raise UsageError(
            "--dns goes with the default network only: the resolver of a network of your own asks the host's",
            hint="leave --dns out, or use --network bridge",
        )
    return resolv.contents(
        resolv.host_text(),
        (own[0].gateway,),
        config.dns_search or configured.dns_search,
        config.dns_options or configured.dns_options,
    )


def announce(store: Store, container: Container, is_held: names.Held) -> None:
    """Make the container's names known on its networks.  Its addresses are leased."""
    for attachment in container.config.network.attachments:
        if attachment.name != default.NAME:
            announce_on(store, container, user.get(store, attachment.name), attachment, is_held)


def revive(store: Store) -> None:
    """See that the names of all networks are told, where something killed who tells them."""
    for definition in user.listing(store):
        names.revive(store.paths, definition, settings.read(store).dns)


def announce_on(
    store: Store, container: Container, definition: NetworkDefinition, attachment: Attachment, is_held: names.Held
) -> None:
    """The same on one network."""
    address, _ = addresses.lease(store, definition, container.id)
    servers = settings.read(store).dns
    known = names_of(container, attachment)
    names.announce(store.paths, definition, container.id, address, known, is_held, servers)


def names_of(container: Container, attachment: Attachment) -> tuple[str, ...]:
    """Name, short id, aliases and the host name, each once."""
    found = (container.name, container.id[:12], *attachment.aliases, container.config.hostname)
    return tuple(dict.fromkeys(name for name in found if name))


def withdraw(store: Store, container: Container, is_held: names.Held) -> None:
    """Forget its names everywhere."""
    for attachment in container.config.network.attachments:
        definition = user.find(store, attachment.name) if attachment.name != default.NAME else None
        if definition:
            names.withdraw(store.paths, definition.id, container.id, is_held)
