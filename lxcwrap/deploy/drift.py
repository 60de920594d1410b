"""What differs from what was deployed: what is missing, stopped, unhealthy, changed by hand, moved, or too many."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lxcwrap.deploy import present as observed
from lxcwrap.deploy import spec
from lxcwrap.deploy.application import Application, Mode, Service
from lxcwrap.deploy.needs import Needing
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.present import UP, Found, Places, Present
from lxcwrap.deploy.reasons import short
from lxcwrap.deploy.wanted import Wants
from lxcwrap.model.record import Record


class Kind(enum.Enum):
    UNKNOWN = "unknown"  # its host does not answer
    MISSING = "missing"
    STOPPED = "stopped"
    UNHEALTHY = "unhealthy"
    CHANGED = "changed"
    MOVED = "moved"
    EXTRA = "extra"


@dataclass(frozen=True)
class Difference(Record):
    """``what``: a service and its slot, a container's name, a network, volume, image, secret or config."""

    nested: ClassVar[dict[str, type[Any]]] = {"kind": Kind}

    kind: Kind
    host: str
    what: str
    detail: str = ""


def drift(
    application: Application,
    states: Sequence[HostState],
    *,
    images: Mapping[str, str] | None = None,
    placed: Places = (),
) -> tuple[Difference, ...]:
    """All of it, host by host.  ``images`` (IDs by reference) and ``placed`` are the release's."""
    found = _Drift(application, states, images or {}, placed).differences()
    return tuple(sorted(found, key=lambda one: (one.host, one.what, one.kind.value)))


class _Drift:
    def __init__(
        self, application: Application, states: Sequence[HostState], images: Mapping[str, str], placed: Places
    ) -> None:
        self.app = application
        self.silent = {state.name: state.problem for state in states if state.problem}
        self.hosts = {state.name: state for state in states if not state.problem}
        self.present = observed.sort(application.name, self.hosts.values())
        self.wants = Wants(application, images)
        self.placed = {(service, slot): host for service, slot, host in placed}

    def differences(self) -> Iterator[Difference]:
        for name, why in self.silent.items():
            held = [f"{service} {slot}" for (service, slot), host in self.placed.items() if host == name]
            yield Difference(Kind.UNKNOWN, name, ", ".join(held) or "what it has", f"it does not answer: {why}")
        for service in self.app.services:
            slots = self.present.serving.get(service.name, {})
            for slot, found in slots.items():
                yield from self._of(service, slot, found)
            yield from self._missing(service, slots)
            yield from self._too_many(service, slots)
        yield from self._needed()
        yield from extra(self.app, self.present)

    def _of(self, service: Service, slot: int, found: Found) -> Iterator[Difference]:
        host, replica, what = found.host.name, found.replica, f"{service.name} {slot}"
        before = self.placed.get((service.name, slot), host)
        if before != host:
            yield Difference(Kind.MOVED, host, what, f"it was on {before}")
        completed = service.runs_once and replica.state == "exited" and not replica.exit_code
        if replica.state not in UP and not completed:
            code = f" with {replica.exit_code}" if replica.state == "exited" else ""
            yield Difference(Kind.STOPPED, host, what, f"it is {replica.state}{code}")
        elif replica.state in ("paused", "restarting"):
            yield Difference(Kind.STOPPED, host, what, f"it is {replica.state}")
        elif replica.health == "unhealthy":
            yield Difference(Kind.UNHEALTHY, host, what, "its health check fails")
        changed = ", ".join(self._changed(service, found))
        if changed:
            yield Difference(Kind.CHANGED, host, what, changed)

    def _changed(self, service: Service, found: Found) -> Iterator[str]:
        wanted = self.wants.on(found.host, service)
        if wanted.image and found.replica.image != wanted.image:
            yield f"image {short(wanted.image)} → {short(found.replica.image)}"
        for part in spec.differing(wanted.spec or spec.of("", wanted.rest), found.replica.spec):
            if part == "everything":
                yield "it was not made by a deployment of this release"
            elif part != "image":
                yield part

    def _missing(self, service: Service, slots: Mapping[int, Found]) -> Iterator[Difference]:
        places = [(slot, host) for (name, slot), host in self.placed.items() if name == service.name]
        for slot, host in places:
            if slot not in slots and host not in self.silent:
                yield Difference(Kind.MISSING, host, f"{service.name} {slot}", "it has no container")
        lacking = service.replicas - len(slots)
        if not places and not self.silent and service.mode is Mode.REPLICATED and lacking > 0:
            yield Difference(Kind.MISSING, "", service.name, f"{lacking} of {service.replicas} have no container")

    def _too_many(self, service: Service, slots: Mapping[int, Found]) -> Iterator[Difference]:
        if service.mode is Mode.GLOBAL:
            return
        known = {slot for name, slot in self.placed if name == service.name} or set(sorted(slots)[: service.replicas])
        for slot, found in slots.items():
            if slot not in known:
                yield Difference(
                    Kind.EXTRA, found.host.name, f"{service.name} {slot}", f"{service.replicas} are wanted"
                )

    def _needed(self) -> Iterator[Difference]:
        """Networks, volumes, secrets and images that were there for what is there."""
        users: dict[str, list[Service]] = {}
        for service in self.app.services:
            for host in dict.fromkeys(found.host.name for found in self.present.serving.get(service.name, {}).values()):
                users.setdefault(host, []).append(service)
        for item in Needing(self.app, self.wants).of(self.hosts, users).missing:
            yield Difference(Kind.MISSING, item.host, f"{item.kind} {item.name}")


def extra(application: Application, present: Present) -> Iterator[Difference]:
    """Containers that serve nothing, or a service that was not deployed."""
    names = {service.name for service in application.services}
    gone = (found for name, slots in present.serving.items() if name not in names for found in slots.values())
    yield from _extra(gone, "there is no such service")
    yield from _extra(present.doubles, "another host serves its slot")
    yield from _extra((one for founds in present.coming.values() for one in founds), "of an interrupted deployment")
    yield from _extra(present.others, "it serves no slot")


def _extra(founds: Iterable[Found], why: str) -> Iterator[Difference]:
    yield from (Difference(Kind.EXTRA, found.host.name, found.replica.name, why) for found in founds)
