"""What liblxc cannot do in a container's network namespace: IPv6 at once, default routes, a resolver of its own.

liblxc runs this as its start-host hook, before the container's first process: ``python -I -S inside.py FILE``, with
LXC_PID in the environment; ``network connect`` and ``disconnect`` run it while the container does.  FILE holds what
network.several says in JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

if __name__ == "__main__":  # -I -S: nothing is on the path but the standard library
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import _socket as socket

from lxcwrap.kernel import daemon, mount, netlink
from lxcwrap.runtime import cgroups

NAME = "inside.json"
_IPV6 = (("disable_ipv6", "0"), ("accept_ra", "0"), ("autoconf", "0"))  # the addresses are ours to give


def write(directory: str, wanted: dict[str, Any]) -> list[tuple[str, str]]:
    """Write FILE; the hook's item, if the hook has anything to do."""
    path = f"{directory}/{NAME}"
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(wanted, stream)
    if not wanted["resolver"] and not wanted["links"]:
        return []
    return [("lxc.hook.start-host", f"{sys.executable} -I -S {os.path.abspath(__file__)} {path} #")]


def is_ours(item: list[str] | tuple[str, str]) -> bool:
    """Whether a liblxc item is one of the network's: such that change while the container runs."""
    return item[0].startswith("lxc.net.") or f"{os.path.abspath(__file__)} " in item[1]


def clear(wanted: dict[str, Any]) -> None:
    """Take away what outlives a run of the container: its resolver, and with it the namespace and its devices."""
    from lxcwrap.kernel import veth

    if wanted["resolver"]:
        daemon.stop(wanted["pid_file"])
    for name in wanted["pairs"]:
        veth.drop(name)


def main(path: str, pid: int) -> None:
    """Raises OSError."""
    with open(path, encoding="utf-8") as stream:
        wanted = json.load(stream)
    daemon.stop(wanted["pid_file"])
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    mount.setns(namespace, mount.CLONE_NEWNET)
    with netlink.Socket() as route:
        owners = {address: index for address, _, index in netlink.all_addresses(route)}
        for address, address6, prefix6 in wanted["links"]:
            _add_ipv6(route, owners[socket.inet_aton(address)], address6, prefix6)
        for family, address, gateway in wanted["gateways"]:
            if gateway:
                netlink.add_default_route(route, socket.inet_pton(family, gateway))
            else:
                netlink.add_device_route(route, owners[socket.inet_aton(address)], family)
    if wanted["resolver"]:
        _become(wanted["resolver"], wanted["pid_file"])


def _add_ipv6(route: netlink.Socket, index: int, address: str, prefix: int) -> None:
    name = socket.if_indextoname(index)
    for key, value in _IPV6:
        with open(f"/proc/sys/net/ipv6/conf/{name}/{key}", "w", encoding="ascii") as stream:
            stream.write(value)
    netlink.add_address(route, index, socket.inet_pton(socket.AF_INET6, address), prefix)


def _become(argv: list[str], pid_file: str) -> None:
    """dnsmasq goes to the background once it listens, and this process ends."""
    os.makedirs(os.path.dirname(pid_file), 0o755, exist_ok=True)
    _leave_groups()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.execv(argv[0], argv)


def _leave_groups() -> None:
    """For those of the supervisor: the ones that liblxc runs its hooks in are removed with the container."""
    own, pid = list(cgroups.memberships(os.getpid())), os.getppid()
    while pid > 1 and list(cgroups.memberships(pid)) == own:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            pid = int(stream.read().rpartition(")")[2].split()[1])
    if pid > 1 and any("/lxc.monitor." in path for _, path in own):
        cgroups.join(cgroups.open_procs(iter(set(cgroups.memberships(pid)) - set(own))))


if __name__ == "__main__":
    main(sys.argv[1], int(os.environ["LXC_PID"]))
