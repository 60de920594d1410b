"""Published ports: rows that decide who holds one, and elements of our table's maps that make it work."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from sqlite3 import Connection

from lxcwrap.errors import Conflict, LxcwrapError, NotPermitted, UsageError
from lxcwrap.kernel import lock, nftables
from lxcwrap.model.container import Port
from lxcwrap.model.network import ANY
from lxcwrap.network import default, rules, settings
from lxcwrap.network.rules import Published
from lxcwrap.store.database import Store

_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

Running = Callable[[str], bool]


def publish(
    store: Store,
    container_id: str,
    ports: tuple[Port, ...],
    exposed: tuple[str, ...] = (),
    publish_all: bool = False,
    address: str = "",
    *,
    is_running: Running | None = None,
) -> tuple[Port, ...]:
    """Take the ports for the container at ``address`` and make them work; returns them with their host ports.

    A row whose holder does not run (by ``is_running``, a container's id) is taken over.  Raises Conflict, naming
    the port, when it is another container's or another program's; UsageError for an address that is not IPv4.
    """
    if not address:
        return ()  # none and host have nothing to publish
    wanted = _wanted(store, ports, exposed, publish_all)
    with store.transaction() as db:
        dropped = _forget(db, container_id)
        taken = []
        for port in sorted(wanted, key=_freedom):  # those that ask for a number first
            chosen, removed = _take(db, container_id, port, is_running)
            taken.append(chosen)
            dropped += removed
    added = [
        Published(port.host_ip, port.host_port, port.protocol, container_id, port.container_port, address)
        for port in taken
    ]
    try:
        _apply(store, dropped, added)
    except BaseException:
        with store.transaction(removing=True) as db:
            _forget(db, container_id)
        raise
    return tuple(taken)


def unpublish(store: Store, container_id: str) -> None:
    """Give the container's ports back.  Does nothing when it holds none."""
    with lock.held(default.LOCK, shared=True):
        with store.transaction(removing=True) as db:
            dropped = _forget(db, container_id)
        if not dropped:
            return
        try:
            nftables.change_elements(store.paths.nft_table, rules.by_map(dropped, keys_only=True), {})
        except FileNotFoundError:
            _withdraw_each(store, dropped)


def _withdraw_each(store: Store, dropped: list[Published]) -> None:
    """Take out those that are there: somebody flushed the others."""
    for port in dropped:
        try:
            nftables.change_elements(store.paths.nft_table, rules.by_map([port], keys_only=True), {})
        except FileNotFoundError:
            continue


def published(store: Store, container_id: str) -> tuple[Port, ...]:
    """The ports that the container holds now, by container port."""
    rows = store.db.execute(
        "SELECT * FROM published_ports WHERE container_id = ? ORDER BY container_port, protocol, host_ip, host_port",
        (container_id,),
    )
    return tuple(Port(row["container_port"], row["protocol"], row["host_ip"], row["host_port"]) for row in rows)


def _wanted(store: Store, ports: tuple[Port, ...], exposed: tuple[str, ...], publish_all: bool) -> list[Port]:
    """Each once, with an address; with -P the exposed ones too that are not published otherwise."""
    everywhere = settings.read(store).bind
    found = [replace(port, host_ip=_host_ip(port.host_ip or everywhere)) for port in ports]
    if publish_all:
        named = {(port.container_port, port.protocol) for port in ports}
        found += [
            Port(number, protocol, everywhere, 0)
            for item in exposed
            for number, protocol in exposed_ports(item)
            if (number, protocol) not in named
        ]
    return [port for at, port in enumerate(found) if port.host_port == 0 or port not in found[:at]]


def exposed_ports(item: str) -> list[tuple[int, str]]:
    """The ports of an EXPOSE entry, an image's too: ``80``, ``53/udp``, ``8000-8010/tcp``.  Raises UsageError."""
    from lxcwrap.model import run_flags  # only -P needs it

    parts = (port.partition("/") for port in run_flags.exposed(item))
    return [(int(number), protocol) for number, _, protocol in parts]


def _host_ip(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise UsageError(f"ports are published on IPv4 addresses only, not on {text!r:.60}") from None


def _forget(db: Connection, container_id: str) -> list[Published]:
    """Delete the container's rows; returns them."""
    rows = db.execute("DELETE FROM published_ports WHERE container_id = ? RETURNING *", (container_id,)).fetchall()
    return [
        Published(row["host_ip"], row["host_port"], row["protocol"], container_id, row["container_port"])
        for row in rows
    ]


def _take(db: Connection, container_id: str, port: Port, is_running: Running | None) -> tuple[Port, list[Published]]:
    """Insert the row of one port; returns it with its number, and what dead holders had."""
    if port.host_last:
        chosen, removed = _of_range(db, port, is_running)
    elif port.host_port:
        removed = _clear(db, port, is_running)
        _check_free(port)
        chosen = port
    else:
        removed, chosen = [], _ephemeral(db, port)
    db.execute(
        "INSERT INTO published_ports VALUES (?, ?, ?, ?, ?)",
        (chosen.host_ip, chosen.host_port, chosen.protocol, container_id, chosen.container_port),
    )
    return chosen, removed


def _freedom(port: Port) -> int:
    """One number, one of a range, any."""
    return 2 if port.host_port == 0 else int(port.host_last > 0)


def _of_range(db: Connection, port: Port, is_running: Running | None) -> tuple[Port, list[Published]]:
    """The first free number of a range, and what dead holders had.  Raises Conflict when none is free."""
    for number in range(port.host_port, port.host_last + 1):
        one = replace(port, host_port=number, host_last=0)
        try:
            _check_free(one)
            return one, _clear(db, one, is_running)
        except Conflict:
            continue
    raise Conflict(
        f"no {port.protocol} port between {port.host_port} and {port.host_last} is free on {port.host_ip}",
        hint="choose another range, or stop a container that has one of them",
    )


def _holders(db: Connection, port: Port, number: int) -> list[Published]:
    """Rows that overlap: the same address, or one of the two is every address."""
    rows = db.execute(
        "SELECT * FROM published_ports WHERE protocol = ? AND host_port = ?", (port.protocol, number)
    ).fetchall()
    return [
        Published(row["host_ip"], number, port.protocol, row["container_id"], row["container_port"])
        for row in rows
        if row["host_ip"] == port.host_ip or ANY in (row["host_ip"], port.host_ip)
    ]


def _clear(db: Connection, port: Port, is_running: Running | None) -> list[Published]:
    """Delete the rows of holders that do not run; returns them.  Raises Conflict when one runs."""
    holders = _holders(db, port, port.host_port)
    for holder in holders:
        if is_running is None or is_running(holder.container_id):
            row = db.execute("SELECT name FROM containers WHERE id = ?", (holder.container_id,)).fetchone()
            raise Conflict(
                f"port {_shown(port)} is already allocated to container {row['name']}",
                hint="choose another port, or stop that container",
            )
    for holder in holders:
        db.execute(
            "DELETE FROM published_ports WHERE protocol = ? AND host_port = ? AND host_ip = ?",
            (holder.protocol, holder.host_port, holder.host_ip),
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
    with socket.socket(socket.AF_INET, kind) as probe:
        if protocol == "tcp":  # connections that just ended do not count, listeners do
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host_ip, number))
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return 0


def _ephemeral(db: Connection, port: Port) -> Port:
    """A free number from the kernel's range for such ports.  Raises Conflict when there is none."""
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
        failure = _bind(port.protocol, port.host_ip, number)
        if failure == errno.EADDRNOTAVAIL:
            _check_free(Port(port.container_port, port.protocol, port.host_ip, number))
        if not failure:
            return Port(port.container_port, port.protocol, port.host_ip, number)
    raise Conflict(f"no {port.protocol} port between {first} and {last} is free on {port.host_ip}")


def _local_range() -> tuple[int, int]:
    with open(_RANGE) as stream:
        first, last = stream.read().split()
    return int(first), int(last)


def _shown(port: Port) -> str:
    return f"{port.host_ip}:{port.host_port}/{port.protocol}"


def _apply(store: Store, dropped: Iterable[Published], added: list[Published]) -> None:
    """Change the maps; when they are not as the database says (somebody flushed them), write them whole."""
    removed = rules.by_map(dropped, keys_only=True)
    if not removed and not added:
        return
    try:
        with lock.held(default.LOCK, shared=True):
            nftables.change_elements(store.paths.nft_table, removed, rules.by_map(added))
        return
    except PermissionError:
        raise NotPermitted("ports cannot be published", hint="lxcwrap needs root: try sudo") from None
    except OSError:
        definition = default.find(store)
    if not definition:
        raise LxcwrapError("ports cannot be published before the network is there")
    default.restore(store, definition)
