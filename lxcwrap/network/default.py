"""The default bridge: made when it is missing, left alone when it is there."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lxcwrap.errors import Conflict, LxcwrapError, NotPermitted, Unsupported
from lxcwrap.kernel import lock, netlink, nftables
from lxcwrap.model.network import OWN, NetworkDefinition, NetworkSettings
from lxcwrap.network import addresses, rules, settings, subnets
from lxcwrap.network.rules import Published
from lxcwrap.store.database import Store

NAME = "bridge"
LOCK = "/run/lock/lxcwrap-network"  # of the host: several state roots choose among the same subnets
_FORWARD = "/proc/sys/net/ipv4/ip_forward"
_UP = 0x1
_PUBLISHED = ("host_ip", "host_port", "protocol", "container_id", "container_port")


def find(store: Store) -> NetworkDefinition | None:
    """The default network as it is known; None before its first use."""
    row = store.db.execute("SELECT config FROM networks WHERE name = ?", (NAME,)).fetchone()
    return NetworkDefinition.from_json(json.loads(row["config"])) if row else None


def ensure(store: Store) -> NetworkDefinition:
    """Make bridge, sysctls and rules if one of them is missing; a fraction of a millisecond when all are there.

    Raises NotPermitted, Unsupported, or Conflict when no subnet is free.
    """
    definition = find(store)
    if definition and is_in_place(definition, store.paths.nft_table, rules.comment(definition, checks(store))):
        return definition
    with explained(store), lock.held(LOCK):
        return _make(store)


@contextmanager
def explained(store: Store) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise NotPermitted("the network cannot be set up", hint="lxcwrap needs root: try sudo") from error
    except nftables.Rejected as error:
        first = str(error).splitlines()[0] if str(error) else "no reason given"
        raise Unsupported(f"nftables refused the rules of {store.paths.nft_table}: {first}") from error


def restore(store: Store, definition: NetworkDefinition) -> None:
    """Write our rules again, as the database wants them.  Raises as ``ensure``."""
    with explained(store), lock.held(LOCK):
        write_rules(store, definition)


def renew(store: Store) -> None:
    """Our table knows by name the bridges whose containers are not asked about; the caller has made one."""
    extra = checks(store)
    definition = find(store) if extra else None
    if definition and not is_in_place(definition, store.paths.nft_table, rules.comment(definition, extra)):
        write_rules(store, definition)


def is_in_place(definition: NetworkDefinition, table: str, comment: str) -> bool:
    """Whether the kernel has the bridge, up and with its address, and the table with that comment."""
    try:
        index = socket.if_nametoindex(definition.bridge)
        with open(f"/sys/class/net/{definition.bridge}/flags") as flags, open(_FORWARD) as forward:
            if not int(flags.read(), 16) & _UP or forward.read().strip() != "1":
                return False
    except OSError:
        return False
    found = nftables.table_comment(table)
    if found is None or comment.encode() not in found:
        return False
    with netlink.Socket() as route:
        if (socket.inet_aton(definition.gateway), definition.prefix) not in netlink.addresses(route, index):
            return False
        if definition.subnet6:
            from lxcwrap.network import ipv6

            return ipv6.is_in_place(route, index, definition)
    return True


def _make(store: Store) -> NetworkDefinition:
    chosen = settings.read(store)
    with netlink.Socket() as route:
        definition = _define(store, route, chosen)
        make_bridge(route, definition)
    write_rules(store, definition)
    return definition


def _define(store: Store, route: netlink.Socket, chosen: NetworkSettings) -> NetworkDefinition:
    """The row, with a subnet that is free here and now.  A subnet that others took since is given up."""
    known = find(store)
    used = used_subnets(route, store.paths.bridge)
    wanted = _wanted(store, chosen, known)
    exists = os.path.exists(f"/sys/class/net/{store.paths.bridge}")
    if known and ipaddress.IPv4Network(known.subnet) in wanted[:1]:
        subnet = wanted[0] if exists else subnets.choose(wanted, used)
    else:
        subnet = subnets.choose(wanted, used)
    mtu = chosen.mtu or default_mtu(route)
    if known and known.subnet == str(subnet) and known.mtu == mtu:
        return known
    definition = NetworkDefinition(
        known.id if known else os.urandom(32).hex(),
        NAME,
        store.paths.bridge,
        str(subnet),
        str(subnet.network_address + 1),
        mtu,
    )
    _record(store, definition, moved=known is not None and known.subnet != definition.subnet)
    return definition


def _wanted(store: Store, chosen: NetworkSettings, known: NetworkDefinition | None) -> list[ipaddress.IPv4Network]:
    """Subnets in order of preference: the one in use, else the one in network.yaml, else any."""
    if chosen.subnet and not store.paths.tag:
        configured = ipaddress.IPv4Network(chosen.subnet)
        if known and known.subnet != chosen.subnet and _has_leases(store, known.id):
            return [ipaddress.IPv4Network(known.subnet), configured]
        return [configured]
    mine = [ipaddress.IPv4Network(known.subnet)] if known else []
    return mine + list(subnets.candidates(store.paths))


def _has_leases(store: Store, network_id: str) -> bool:
    return bool(store.db.execute("SELECT 1 FROM leases WHERE network_id = ?", (network_id,)).fetchone())


def _record(store: Store, definition: NetworkDefinition, *, moved: bool) -> None:
    with store.transaction() as db:
        if moved:
            db.execute("DELETE FROM leases WHERE network_id = ?", (definition.id,))
        db.execute(
            """
            INSERT INTO networks VALUES (?, ?, 'bridge', ?, ?)
            ON CONFLICT (id) DO UPDATE SET config = excluded.config
            """,
            (definition.id, NAME, json.dumps(definition.to_json()), time.time()),
        )


def used_subnets(route: netlink.Socket, bridge: str) -> list[ipaddress.IPv4Network]:
    """What the host's routes (but the default one and our bridge's) and its resolvers take."""
    found = []
    for destination, prefix, index in netlink.routes(route):
        try:
            if prefix and netlink.link_name(index) != bridge:
                found.append(ipaddress.IPv4Network((destination, prefix), strict=False))
        except OSError:
            continue  # the link went away meanwhile
    from lxcwrap.network import resolv

    for server in resolv.servers(resolv.host_text()):
        try:
            found.append(ipaddress.IPv4Network(server))
        except ValueError:
            continue  # IPv6
    return found


def default_mtu(route: netlink.Socket) -> int:
    """The MTU of the link that leads to the world, so that nothing has to be fragmented; 1500 without one."""
    for _, prefix, index in netlink.routes(route):
        if prefix == 0:
            with open(f"/sys/class/net/{netlink.link_name(index)}/mtu") as stream:
                return int(stream.read())
    return 1500


def make_bridge(route: netlink.Socket, definition: NetworkDefinition) -> None:
    """Make the bridge, or bring the one that is there in order.  Raises OSError, Unsupported or Conflict."""
    name = definition.bridge
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        gateway = socket.inet_aton(definition.gateway)
        mac = "02:4c:" + ":".join(f"{byte:02x}" for byte in gateway)
        try:
            index = netlink.create_bridge(route, name, mac, definition.mtu)
        except OSError as error:
            if isinstance(error, PermissionError):
                raise
            raise Unsupported(f"the bridge {name} cannot be made: {error.strerror}") from error
    if not os.path.isdir(f"/sys/class/net/{name}/bridge"):
        raise Conflict(f"the interface {name} exists and is not a bridge", hint="rename or remove it")
    write_sysctl("/proc/sys/net/ipv4/ip_forward", "1")
    write_sysctl(f"/proc/sys/net/ipv4/conf/{name}/route_localnet", "1")
    if definition.subnet6:
        from lxcwrap.network import ipv6

        ipv6.prepare(route, index, definition)
    elif os.path.exists(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"):
        write_sysctl(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "1")
    _replace_addresses(route, index, definition)
    netlink.set_mtu(route, index, definition.mtu)
    netlink.set_up(route, index)


def _replace_addresses(route: netlink.Socket, index: int, definition: NetworkDefinition) -> None:
    wanted = (socket.inet_aton(definition.gateway), definition.prefix)
    for address, prefix in netlink.addresses(route, index):
        if (address, prefix) != wanted:
            netlink.delete_address(route, index, address, prefix)
    netlink.add_address(route, index, *wanted)


def write_sysctl(path: str, text: str) -> None:
    with open(path) as stream:
        if stream.read().strip() == text:
            return  # already so, perhaps on a /proc that cannot be written
    try:
        with open(path, "w") as stream:
            stream.write(text)
    except OSError as error:
        raise LxcwrapError(f"{path} cannot be set to {text}: {error.strerror}") from error


def write_rules(store: Store, definition: NetworkDefinition) -> None:
    """Replace our table whole, with all ports that the database knows as published."""
    apply_rules(rules.ruleset(store.paths.nft_table, definition, published(store), checks(store)))


def checks(store: Store) -> str:
    """What the table has more where the host's firewall is asked about published ports; '' where it is not."""
    chosen = settings.read(store)
    if chosen.firewall == OWN:
        return ""
    from lxcwrap.network import honour

    return honour.text(store, chosen.firewall_recheck)


def apply_rules(text: str) -> None:
    """Raises nftables.Rejected, and Unsupported without libnftables."""
    try:
        nftables.run(text)
    except OSError as error:
        raise Unsupported(
            f"libnftables cannot be loaded: {error}", hint="install libnftables1 (Fedora: nftables-libs)"
        ) from error


def published(store: Store) -> tuple[Published, ...]:
    """All published ports whose container has an address."""
    rows = store.db.execute("SELECT * FROM published_ports ORDER BY protocol, host_port, host_ip").fetchall()
    found = {
        container_id: addresses.way_in(store, container_id) for container_id in {row["container_id"] for row in rows}
    }
    made = []
    for row in rows:
        address = found[row["container_id"]][":" in row["host_ip"]]  # for ::1 there is no rule
        if address:
            made.append(Published(**{name: row[name] for name in _PUBLISHED}, address=address))
    return tuple(made)
