"""Published ports: rows that decide who holds one, and elements of our table's maps that make it work."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from sqlite3 import Connection

from lxcwrap.errors import Conflict, LxcwrapError, NotPermitted, UsageError
from lxcwrap.kernel import lock, nftables
from lxcwrap.model.container import Port
from lxcwrap.model.network import ANY, ANY6
from lxcwrap.network import addresses, default, rules, settings
from lxcwrap.network.rules import Published
from lxcwrap.store.database import Store

_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

Running = Callable[[str], bool]
Number = tuple[str, int, bool]  # a port of the host: protocol, number, whether IPv6's


def publish(
    store: Store,
    container_id: str,
    ports: tuple[Port, ...],
    exposed: tuple[str, ...] = (),
    publish_all: bool = False,
    address: str = "",
    address6: str = "",
    *,
    is_running: Running | None = None,
) -> tuple[Port, ...]:
    """Take the ports for the container at these addresses and make them work; returns them with their host ports.

    A row whose holder does not run (by ``is_running``, a container's id) is taken over.  Raises Conflict, naming
    the port, when it is another container's or another program's; UsageError for one that cannot lead there.
    """
    if not address and not address6:
        return ()  # none and host have nothing to publish
    wanted = _wanted(store, ports, exposed, publish_all, has_ipv6=bool(address6))
    with store.transaction() as db:
        dropped = _forget(db, container_id)
        taken: list[Port] = []
        for twins in sorted(wanted, key=_freedom):  # those that ask for a number first
            chosen, removed = _take(db, container_id, twins, is_running)
            taken += chosen
            dropped += removed
    added = [_leading(port, container_id, address, address6) for port in taken]
    try:
        _apply(store, dropped, added)
    except BaseException:
        with store.transaction(removing=True) as db:
            _forget(db, container_id)
        raise
    return tuple(taken)


def hand_over(
    store: Store,
    old_id: str,
    container_id: str,
    ports: tuple[Port, ...],
    addresses_: tuple[str, str],
    record: Callable[[], None],
    *,
    is_running: Running,
) -> None:
    """The ports lead to the container at its IPv4 and IPv6 address from now on; those that the old one held with them.

    ``record`` stores in the same transaction what else changes.  No moment is without a rule for a port that both
    have, and open connections go on where they are.  Raises as ``publish``; then nothing has changed.
    """
    wanted = _wanted(store, ports, (), False, has_ipv6=bool(addresses_[1])) if any(addresses_) else []
    with default.explained(store), lock.held(default.LOCK):  # nobody gives up his ports between the two changes
        with store.transaction() as db:
            dropped = _forget(db, old_id) + _forget(db, container_id)
            own = {(port.protocol, port.host_port, ":" in port.host_ip) for port in dropped}
            taken: list[Port] = []
            for twins in sorted(wanted, key=_freedom):
                chosen, removed = _take(db, container_id, twins, is_running, own)
                taken += chosen
                dropped += removed
            record()
        added = [_leading(port, container_id, *addresses_) for port in taken]
        try:
            if dropped or added:
                _change(store, dropped, added)
        except PermissionError:
            raise
        except OSError:  # somebody changed the maps
            definition = default.find(store)
            if definition:
                default.write_rules(store, definition)


def _leading(port: Port, container_id: str, address: str, address6: str) -> Published:
    target = address6 if ":" in port.host_ip else address
    if port.host_ip == rules.LOOPBACK6:
        target = address6 or address
    return Published(port.host_ip, port.host_port, port.protocol, container_id, port.container_port, target)


def relays(store: Store, container_id: str) -> list[tuple[int, str, int]]:
    """What the container's supervisor passes on from ::1: port, and address and port of the container."""
    loopback = (rules.LOOPBACK6, ANY6)
    found = [port for port in published(store, container_id) if port.host_ip in loopback and port.protocol == "tcp"]
    if not found:
        return []
    address, address6 = addresses.way_in(store, container_id)
    target = address6 or address
    return [(port.host_port, target, port.container_port) for port in found if target]


def repoint(store: Store, container_id: str, address: str, address6: str) -> None:
    """The ports that the container holds lead to other addresses of it from now on; without one they are given up.

    Raises NotPermitted.
    """
    held = [_leading(port, container_id, address, address6) for port in published(store, container_id)]
    lost = [port for port in held if not port.address]
    with store.transaction() as db:
        for port in lost:
            _delete(db, port)
    _apply(store, held, [port for port in held if port.address])


def unpublish(store: Store, container_id: str) -> None:
    """Give the container's ports back.  Does nothing when it holds none."""
    with lock.held(default.LOCK, shared=True):
        with store.transaction(removing=True) as db:
            dropped = _forget(db, container_id)
        if not dropped:
            return
        try:
            nftables.change_elements(store.paths.nft_table, _keys(store, dropped), {})
        except FileNotFoundError:
            _withdraw_each(store, dropped)


def _withdraw_each(store: Store, dropped: list[Published]) -> None:
    """Take out those that are there: somebody flushed the others."""
    for port in dropped:
        for name, keys in _keys(store, [port]).items():
            try:
                nftables.change_elements(store.paths.nft_table, {name: keys}, {})
            except FileNotFoundError:
                continue


def _keys(store: Store, ports: Iterable[Published]) -> dict[str, list[nftables.Element]]:
    return rules.by_map(ports, keys_only=True, checked=_checked(store))


def _checked(store: Store) -> bool:
    """Whether the kernel's table, which may be older than network.yaml, has sets of published ports too."""
    return rules.HONOURS.encode() in (nftables.table_comment(store.paths.nft_table) or b"")


def published(store: Store, container_id: str) -> tuple[Port, ...]:
    """The ports that the container holds now, by container port."""
    rows = store.db.execute(
        "SELECT * FROM published_ports WHERE container_id = ? ORDER BY container_port, protocol, host_ip, host_port",
        (container_id,),
    )
    return tuple(Port(row["container_port"], row["protocol"], row["host_ip"], row["host_port"]) for row in rows)


def _wanted(
    store: Store, ports: tuple[Port, ...], exposed: tuple[str, ...], publish_all: bool, *, has_ipv6: bool
) -> list[tuple[Port, ...]]:
    """Each once, as one port on one or more addresses; with -P the exposed ones too that are not among them."""
    everywhere = settings.read(store).bind
    asked = list(ports)
    if publish_all:
        named = {(port.container_port, port.protocol) for port in ports}
        asked += [
            Port(number, protocol)
            for item in exposed
            for number, protocol in exposed_ports(item)
            if (number, protocol) not in named
        ]
    found = [_on_addresses(port, everywhere, has_ipv6) for port in asked]
    return [twins for at, twins in enumerate(found) if twins[0].host_port == 0 or twins not in found[:at]]


def _on_addresses(port: Port, everywhere: str, has_ipv6: bool) -> tuple[Port, ...]:
    """The port on the address that was asked for; without one on all, of both families where the container has both."""
    text = port.host_ip or everywhere
    if text == ANY and not port.host_ip and has_ipv6:
        return replace(port, host_ip=ANY), replace(port, host_ip=ANY6)
    found = replace(port, host_ip=str(ipaddress.ip_address(text)))
    if found.host_ip == rules.LOOPBACK6:
        if found.protocol != "tcp":
            raise UsageError(f"port {_shown(found)}: only TCP is published on {rules.LOOPBACK6}", hint="use 127.0.0.1")
        return (found,)
    if ":" in found.host_ip and not has_ipv6:
        raise UsageError(
            f"port {_shown(found)}: the container has no IPv6 address",
            hint="put it on a network that is made with --ipv6, or publish on an IPv4 address",
        )
    return (found,)


def exposed_ports(item: str) -> list[tuple[int, str]]:
    """The ports of an EXPOSE entry, an image's too: ``80``, ``53/udp``, ``8000-8010/tcp``.  Raises UsageError."""
    from lxcwrap.model import run_flags  # only -P needs it

    parts = (port.partition("/") for port in run_flags.exposed(item))
    return [(int(number), protocol) for number, _, protocol in parts]


def _forget(db: Connection, container_id: str) -> list[Published]:
    """Delete the container's rows; returns them."""
    rows = db.execute("DELETE FROM published_ports WHERE container_id = ? RETURNING *", (container_id,)).fetchall()
    return [
        Published(row["host_ip"], row["host_port"], row["protocol"], container_id, row["container_port"])
        for row in rows
    ]


def _take(
    db: Connection,
    container_id: str,
    twins: tuple[Port, ...],
    is_running: Running | None,
    own: Collection[Number] = (),
) -> tuple[list[Port], list[Published]]:
    """Insert the rows of one port on its addresses; returns them with their number, and what dead holders had.

    ``own``: ports that are its already: who listens there is its supervisor, or its predecessor's.
    """
    if twins[0].host_last:
        chosen, removed = _of_range(db, twins, is_running)
    elif twins[0].host_port:
        removed = [holder for port in twins for holder in _clear(db, port, is_running)]
        for port in twins:
            if (port.protocol, port.host_port, ":" in port.host_ip) not in own:
                _check_free(port)
        chosen = list(twins)
    else:
        removed, chosen = [], _ephemeral(db, twins)
    for port in chosen:
        db.execute(
            "INSERT INTO published_ports VALUES (?, ?, ?, ?, ?)",
            (port.host_ip, port.host_port, port.protocol, container_id, port.container_port),
        )
    return chosen, removed


def _freedom(twins: tuple[Port, ...]) -> int:
    """One number, one of a range, any."""
    return 2 if twins[0].host_port == 0 else int(twins[0].host_last > 0)


def _of_range(
    db: Connection, twins: tuple[Port, ...], is_running: Running | None
) -> tuple[list[Port], list[Published]]:
    """The first free number of a range, and what dead holders had.  Raises Conflict when none is free."""
    port = twins[0]
    for number in range(port.host_port, port.host_last + 1):
        chosen = [replace(one, host_port=number, host_last=0) for one in twins]
        try:
            for one in chosen:
                _check_free(one)
                _check_released(db, one, is_running)
        except Conflict:
            continue
        return chosen, [holder for one in chosen for holder in _clear(db, one, is_running)]
    raise Conflict(
        f"no {port.protocol} port between {port.host_port} and {port.host_last} is free on {port.host_ip}",
        hint="choose another range, or stop a container that has one of them",
    )


def _holders(db: Connection, port: Port, number: int) -> list[Published]:
    """Rows that overlap: the same address, or one of the two is every address of the other's family."""
    rows = db.execute(
        "SELECT * FROM published_ports WHERE protocol = ? AND host_port = ?", (port.protocol, number)
    ).fetchall()
    return [
        Published(row["host_ip"], number, port.protocol, row["container_id"], row["container_port"])
        for row in rows
        if row["host_ip"] == port.host_ip
        or ((":" in row["host_ip"]) == (":" in port.host_ip) and {ANY, ANY6} & {row["host_ip"], port.host_ip})
    ]


def _clear(db: Connection, port: Port, is_running: Running | None) -> list[Published]:
    """Delete the rows of holders that do not run; returns them.  Raises Conflict when one runs."""
    holders = _check_released(db, port, is_running)
    for holder in holders:
        _delete(db, holder)
    return holders


def _delete(db: Connection, port: Published) -> None:
    db.execute(
        "DELETE FROM published_ports WHERE protocol = ? AND host_port = ? AND host_ip = ?",
        (port.protocol, port.host_port, port.host_ip),
    )


def _check_released(db: Connection, port: Port, is_running: Running | None) -> list[Published]:
    """The holders, none of which runs.  Raises Conflict when one does."""
    holders = _holders(db, port, port.host_port)
    for holder in holders:
        if is_running is None or is_running(holder.container_id):
            row = db.execute("SELECT name FROM containers WHERE id = ?", (holder.container_id,)).fetchone()
            raise Conflict(
                f"port {_shown(port)} is already allocated to container {row['name']}",
                hint="choose another port, or stop that container",
            )
    return holders


def _check_free(port: Port) -> None:
    """Raises Conflict when another program listens there."""
    failure = _bind(port.protocol, port.host_ip, port.host_port)
    if failure == errno.EADDRNOTAVAIL:
        raise Conflict(f"port {_shown(port)}: {port.host_ip} is not an address of this host")
    if failure == errno.EACCES:
        raise NotPermitted(f"port {_shown(port)} cannot be used", hint="lxcwrap needs root: try sudo")
    if failure:
        tool = "ss -lunp" if port.protocol == "udp" else "ss -ltnp"
        raise Conflict(
            f"port {_shown(port)} is already in use by another program of this host",
            hint=f"choose another port; '{tool} sport = :{port.host_port}' shows the program",
        )


def _bind(protocol: str, host_ip: str, number: int) -> int:
    """The errno of binding there for a moment; 0 when it worked or cannot be tried (sctp)."""
    kind = _KINDS.get(protocol)
    if kind is None:
        return 0
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":  # connections that just ended do not count, listeners do
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host_ip, number))
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return 0


def _ephemeral(db: Connection, twins: tuple[Port, ...]) -> list[Port]:
    """A number from the kernel's range for such ports that is free on all addresses.  Raises Conflict for none."""
    port = twins[0]
    first, last = _local_range()
    rows = db.execute("SELECT host_port FROM published_ports WHERE protocol = ?", (port.protocol,))
    held = {row["host_port"] for row in rows}
    count = last - first + 1
    import random  # only where the kernel has to be asked for a free port

    start = random.SystemRandom().randrange(count)
    for offset in range(count):
        number = first + (start + offset) % count
        if number in held:
            continue
        chosen = [replace(one, host_port=number) for one in twins]
        failures = [_bind(one.protocol, one.host_ip, number) for one in chosen]
        if errno.EADDRNOTAVAIL in failures:
            _check_free(chosen[failures.index(errno.EADDRNOTAVAIL)])
        if not any(failures):
            return chosen
    raise Conflict(f"no {port.protocol} port between {first} and {last} is free on {port.host_ip}")


def _local_range() -> tuple[int, int]:
    with open(_RANGE) as stream:
        first, last = stream.read().split()
    return int(first), int(last)


def _shown(port: Port) -> str:
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{host}:{port.host_port}/{port.protocol}"


def _apply(store: Store, dropped: list[Published], added: list[Published]) -> None:
    """Change the maps; when they are not as the database says (somebody flushed them), write them whole."""
    if not dropped and not added:
        return
    try:
        with lock.held(default.LOCK, shared=True):
            _change(store, dropped, added)
        return
    except PermissionError:
        raise NotPermitted("ports cannot be published", hint="lxcwrap needs root: try sudo") from None
    except OSError:
        definition = default.find(store)
    if not definition:
        raise LxcwrapError("ports cannot be published before the network is there")
    default.restore(store, definition)


def _change(store: Store, dropped: list[Published], added: list[Published]) -> None:
    """One transaction of the kernel's.  Raises OSError when the maps are not as the database says."""
    wanted = rules.by_map(added, checked=_checked(store))
    nftables.change_elements(store.paths.nft_table, _keys(store, dropped), wanted)
