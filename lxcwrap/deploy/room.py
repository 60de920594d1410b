"""What is left on a host while containers are being placed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lxcwrap.deploy.application import Mode, PublishedPort, Service
from lxcwrap.deploy.observation import HostState
from lxcwrap.model.units import show_memory

ANY = ("", "0.0.0.0", "::", "[::]")
SLACK = 1e-9  # sums of shares of CPUs are not exact


@dataclass(frozen=True)
class Need:
    """What one container of a service takes.  ``most``: containers of it on one host, 0 for any number."""

    service: str
    cpus: float
    memory: int
    ports: tuple[PublishedPort, ...]
    most: int

    @classmethod
    def of(cls, service: Service) -> Need:
        ports = tuple(port for port in service.ports if port.host_port)
        most = 1 if service.mode is Mode.GLOBAL else service.placement.max_replicas_per_host
        return cls(service.name, service.reserved_cpus, service.reserved_memory, ports, most)


class Room:
    """A host that fills up.  Capacity that a host did not tell is taken for boundless."""

    __slots__ = ("containers", "cpus", "host", "memory", "ports", "services")

    def __init__(self, host: HostState) -> None:
        self.host = host
        self.cpus = host.cpus - host.reserved_cpus if host.cpus else math.inf
        self.memory = host.memory - host.reserved_memory if host.memory else math.inf
        self.ports: dict[tuple[int, str], list[tuple[str, str]]] = {}  # addresses and who has them
        self.services: dict[str, int] = {}
        self.containers = 0

    def refuses(self, need: Need) -> str:
        """Why one more does not fit; '' if it does."""
        if need.most and self.services.get(need.service, 0) >= need.most:
            return f"it has {need.most} of {need.service}, the most for one host"
        if need.cpus > self.cpus + SLACK:
            return f"{max(self.cpus, 0):g} CPUs are left, {need.cpus:g} to be reserved"
        if need.memory > self.memory:
            return (
                f"{show_memory(int(max(self.memory, 0)))} of memory are left, {show_memory(need.memory)} to be reserved"
            )
        return self._taken(need.ports)

    def _taken(self, ports: Iterable[PublishedPort]) -> str:
        for port in ports:
            for address, holder in self.ports.get((port.host_port, port.protocol), ()):
                if address == port.host_ip or address in ANY or port.host_ip in ANY:
                    return f"port {port.host_port}/{port.protocol} is taken by {holder}"
        return ""

    def take(self, need: Need) -> None:
        self.cpus -= need.cpus
        self.memory -= need.memory
        self.services[need.service] = self.services.get(need.service, 0) + 1
        self.containers += 1
        for port in need.ports:
            self.ports.setdefault((port.host_port, port.protocol), []).append((port.host_ip, need.service))
