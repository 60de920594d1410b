"""What the hosts have of an application: what ``lxcwrap app-end observe`` answers, one per host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lxcwrap.model.record import Record

Pairs = tuple[tuple[str, str], ...]

# Labels that our containers carry.
APP = "lxcwrap.app"
SERVICE = "lxcwrap.service"
SLOT = "lxcwrap.slot"  # number of a replica, from 1, over all hosts
RELEASE = "lxcwrap.release"
SPEC = "lxcwrap.spec"  # digest of everything that it was made from
CPUS = "lxcwrap.cpus"  # what the container reserves, as other applications see it
MEMORY = "lxcwrap.memory"  # bytes


def final_name(app: str, service: str, slot: int) -> str:
    """What the container that serves a slot is called."""
    return f"{app}-{service}-{slot}"


def incoming_name(app: str, service: str, slot: int, release: int) -> str:
    """What a container is called until it takes over."""
    return f"{final_name(app, service, slot)}-r{release}"


@dataclass(frozen=True)
class Replica(Record):
    """A container of the application."""

    id: str
    name: str
    service: str
    slot: int
    release: int
    spec: str
    image: str  # ID
    state: str  # created, running, paused, exited, restarting …
    health: str = ""  # starting, healthy, unhealthy; '' without a check
    exit_code: int = 0
    started: float = 0  # seconds since the epoch
    labels: Pairs = ()

    @property
    def serves(self) -> bool:
        """Whether it has its slot's name, and so its traffic."""
        return self.name == final_name(dict(self.labels).get(APP, ""), self.service, self.slot)


@dataclass(frozen=True)
class HostState(Record):
    """A host.  ``memory`` in bytes and ``cpus`` are what it has in all; ``problem`` says why it could not be asked."""

    nested: ClassVar[dict[str, type[Any]]] = {"replicas": Replica}

    name: str
    labels: Pairs = ()
    cpus: float = 0
    memory: int = 0
    drained: bool = False
    replicas: tuple[Replica, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: Pairs = ()  # reference and ID, of those that were asked for
    secrets: Pairs = ()  # key and version of the secrets and configs that it holds
    reserved_cpus: float = 0  # by containers of other applications
    reserved_memory: int = 0
    release: int = 0  # the last one that was recorded there
    architecture: str = ""
    secret_place: str = ""  # a use's file is PLACE/APP/KEY/VERSION/UID-GID-MODE, its mode as four octal digits
    config_place: str = ""
    problem: str = ""
