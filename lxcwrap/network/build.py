"""The network of build steps: one namespace for many steps, so that none waits for devices to come and go."""

from __future__ import annotations

import ipaddress
import os
import threading

from lxcwrap.errors import Conflict
from lxcwrap.kernel import lock, veth
from lxcwrap.model.network import NetworkDefinition, NetworkPlan
from lxcwrap.network import addresses, default, plan, settings
from lxcwrap.store.database import Store

_held: list[int] = []  # descriptors of namespaces and address locks: the kernel clears up when this process ends
_thread_lock = threading.Lock()


def step_network(store: Store) -> NetworkPlan:
    """A network namespace on the default bridge that any number of steps join, one after another or at once.

    It lasts until this process ends, however it ends.  Its owner is the host's user namespace: steps cannot change
    its devices.  Raises Conflict when all addresses for builds are taken, and as ``default.ensure``.
    """
    definition = default.ensure(store)
    address = _take_address(store, definition)
    mac = addresses.mac_of(int(ipaddress.IPv4Address(address)))
    name = f"lxs{os.getpid():x}x{address.rpartition('.')[2]}"
    veth.drop(name)
    namespace = veth.new_namespace()
    veth.connect(
        veth.Pair(name, definition.bridge, mac, address, definition.prefix, definition.gateway, definition.mtu),
        namespace,
    )
    with _thread_lock:
        _held.append(namespace)
    return NetworkPlan(
        config_items=(
            ("lxc.net.0.type", "none"),
            ("lxc.namespace.share.net", f"/proc/{os.getpid()}/fd/{namespace}"),
        ),
        address=address,
        gateway=definition.gateway,
        mac=mac,
        hosts=f"{plan.LOCAL}{address}\tbuildkitsandbox\n",
        resolv_conf=plan.resolv_conf(settings.read(store)),
    )


def _take_address(store: Store, definition: NetworkDefinition) -> str:
    """An address that no other build on this host uses: its lock file is held until this process ends."""
    for address in reversed(addresses.step_addresses(definition)):
        try:
            descriptor = lock.take(f"{store.paths.run}/steps/{address}", wait=False)
        except lock.Busy:
            continue
        with _thread_lock:
            _held.append(descriptor)
        return str(address)
    raise Conflict(f"all addresses of {definition.subnet} that are kept for builds are in use")
