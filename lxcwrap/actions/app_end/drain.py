"""Waits until nobody is connected to a container any more.

Source: proc_pid_net(5), net/tcp_states.h.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from lxcwrap.kernel import cgroup, conntrack
from lxcwrap.network import addresses
from lxcwrap.runtime import state
from lxcwrap.store import containers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_LISTEN = 0x0A
_TALKING = (1, 3, 4, 8, 9, 11)  # states in which something may still be said, or waits to be sent, by the container
_LOOK = 0.1  # seconds between two looks
_QUIET = 0.5  # seconds without a connection: who has just asked for its address may be about to connect
_LOCAL = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


class Connection(NamedTuple):
    """A line of /proc/PID/net/tcp; addresses in the kernel's hexadecimal form."""

    state: int
    address: str
    port: int
    peer: str
    inode: str


def drain(store: Store, container: Container, timeout: float) -> int:
    """Wait for it, ``timeout`` seconds at most; how many connections are left."""
    deadline, quiet_since = time.monotonic() + timeout, 0.0
    while True:
        left, now = connections(store, container), time.monotonic()
        if left:
            quiet_since = 0.0
        quiet_since = quiet_since or now
        if now >= deadline or (not left and now - quiet_since >= _QUIET) or left is None:
            break
        time.sleep(_LOOK)
    forget_datagrams(store, container)
    return left or 0


def forget_datagrams(store: Store, container: Container) -> None:
    """Whoever still sends to it, which nobody can wait for, is led to the container that took over."""
    row = store.db.execute("SELECT container_id FROM take_overs WHERE old_id = ?", (container.id,)).fetchone()
    if row and any(port.protocol == "udp" for port in containers.resolve(store, row[0]).config.network.ports):
        conntrack.forget_datagrams([address for address in addresses.way_in(store, container.id) if address])


def connections(store: Store, container: Container) -> int | None:
    """TCP connections from outside of it to ports that it listens on; None when it does not run."""
    now = state.read(store.paths, container.id)
    if not now.live or not now.pid:
        return None
    try:
        found = list(_read(now.pid))
        only = _own_sockets(now.pid, container.id) if _is_hosts(now.pid) else None
    except (FileNotFoundError, ProcessLookupError):
        return None
    return count(found, only)


def count(found: list[Connection], only: set[str] | None = None) -> int:
    """``only``: the inodes of sockets that count, where others have theirs in the same namespace.  Pure."""
    listening = {one.port for one in found if one.state == _LISTEN and (only is None or one.inode in only)}
    return sum(one.state in _TALKING and one.port in listening and not _is_inside(one) for one in found)


def _is_inside(one: Connection) -> bool:
    return one.peer in _LOCAL or one.peer == one.address


def _read(pid: int) -> Iterator[Connection]:
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{name}", encoding="ascii") as stream:
                lines = stream.readlines()[1:]
        except FileNotFoundError:
            if name == "tcp":
                raise
            continue  # a kernel without IPv6
        yield from map(parsed, lines)


def parsed(line: str) -> Connection:
    """Pure."""
    fields = line.split()
    address, _, port = fields[1].partition(":")
    return Connection(int(fields[3], 16), address, int(port, 16), fields[2].partition(":")[0], fields[9])


def _is_hosts(pid: int) -> bool:
    return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino


def _own_sockets(pid: int, name: str) -> set[str]:
    """Inodes of the sockets that the container's processes have."""
    found: set[str] = set()
    for one in cgroup.processes(cgroup.find(pid, name)):
        try:
            links = [os.readlink(f"/proc/{one}/fd/{number}") for number in os.listdir(f"/proc/{one}/fd")]
        except OSError:  # it has ended meanwhile
            continue
        found.update(link[8:-1] for link in links if link.startswith("socket:["))
    return found
