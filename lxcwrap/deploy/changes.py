"""From a placement to changes: what is created, replaced, moved, started or removed, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lxcwrap.deploy.application import Application, Service
from lxcwrap.deploy.observation import HostState, Replica
from lxcwrap.deploy.options import Options
from lxcwrap.deploy.order import order
from lxcwrap.deploy.placement import Placed, Placing
from lxcwrap.deploy.plan import Action, Change
from lxcwrap.deploy.present import UP, Found, Present
from lxcwrap.deploy.reasons import Before, image, reasons
from lxcwrap.deploy.wanted import Wanted, Wants

FORCED = "asked to be made anew"


class Changes:
    """Gathers the changes of all services.  ``used``: containers of an interrupted deployment that are gone on with."""

    def __init__(
        self, application: Application, hosts: Mapping[str, HostState], present: Present, wants: Wants, options: Options
    ) -> None:
        self.app = application
        self.hosts = hosts
        self.present = present
        self.wants = wants
        self.options = options
        previous = options.previous.services if options.previous else ()
        self.before = {service.name: Before.of(service) for service in previous}
        self.kept = 0
        self.used: set[str] = set()
        self._changes: list[Change] = []
        self._removals: list[list[Change]] = []

    def add(self, placing: Placing, lost: Mapping[int, str]) -> None:
        """``lost``: slots that were on a host that does not answer."""
        service = placing.service
        there = self.present.serving.get(service.name, {})
        for placed in placing.placed:
            if placed.host in self.hosts:
                self._settle(service, placed, there.get(placed.slot), lost)
        self._removals.append(
            [
                Change(Action.REMOVE, service.name, one.slot, one.host, there[one.slot].replica.id, reasons=(one.why,))
                for one in placing.surplus
                if one.slot in there
            ]
        )

    def in_order(self) -> Iterator[Change]:
        """As services depend on each other; removals last, and the other way round."""
        yield from self._changes
        for removals in reversed(self._removals):
            yield from removals

    def _settle(self, service: Service, placed: Placed, found: Found | None, lost: Mapping[int, str]) -> None:
        wanted = self.wants.on(self.hosts[placed.host], service)
        change = self._change(service, placed, found, wanted, lost)
        if change is None:
            self.kept += 1
        else:
            self._changes.append(change)

    def _change(
        self, service: Service, placed: Placed, found: Found | None, wanted: Wanted, lost: Mapping[int, str]
    ) -> Change | None:
        if found is None:
            why = [f"host {lost[placed.slot]} does not answer"] if placed.slot in lost else []
            return self._made(Action.CREATE, service, placed, None, wanted, why)
        if found.host.name != placed.host:
            why = [f"host {found.host.name}: {placed.why}", *self._differences(service, found.replica, wanted)]
            return self._made(Action.MOVE, service, placed, found, wanted, why)
        why = [FORCED] if self.options.recreate else []
        if why or not wanted.spec or found.replica.spec != wanted.spec:
            why += self._differences(service, found.replica, wanted)
            return self._made(Action.REPLACE, service, placed, found, wanted, why)
        return self._started(service, placed, found.replica)

    def _started(self, service: Service, placed: Placed, replica: Replica) -> Change | None:
        """What is as wanted only has to run."""
        if replica.state in UP or (service.runs_once and replica.state == "exited" and not replica.exit_code):
            return None
        why = f"it is {replica.state}" + (f" with {replica.exit_code}" if replica.state == "exited" else "")
        return Change(
            Action.START, service.name, placed.slot, placed.host, replica.id, spec=replica.spec, reasons=(why,)
        )

    def _made(
        self,
        action: Action,
        service: Service,
        placed: Placed,
        found: Found | None,
        wanted: Wanted,
        why: Sequence[str],
    ) -> Change:
        config = service.rollback if self.options.rolling_back else service.update
        which, because = order(self.app, service, action, config.order)
        incoming = "" if self.options.recreate else self._incoming(service, placed, wanted)
        if incoming:
            self.used.add(incoming)
        return Change(
            action,
            service.name,
            placed.slot,
            placed.host,
            container=found.replica.id if found else "",
            from_host=found.host.name if found and action is Action.MOVE else "",
            order=which,
            incoming=incoming,
            spec=wanted.spec,
            reasons=tuple(
                filter(None, (*why, because, "an interrupted deployment is gone on with" if incoming else ""))
            ),
        )

    def _incoming(self, service: Service, placed: Placed, wanted: Wanted) -> str:
        for found in self.present.coming.get((service.name, placed.slot), ()):
            here = found.host.name == placed.host and wanted.spec and found.replica.spec == wanted.spec
            if here and usable(found.replica, service):
                return found.replica.id
        return ""

    def _differences(self, service: Service, replica: Replica, wanted: Wanted) -> Iterator[str]:
        before = self.before.get(service.name)
        if replica.image != wanted.image:
            yield image(replica.image, wanted.image, service.image, before)
        if wanted.spec != replica.spec:
            known = wanted.spec or f".{wanted.rest}"
            yield from reasons(replica.spec, known, before, service)


def usable(replica: Replica, service: Service) -> bool:
    """Whether an interrupted deployment's container has not failed.  One that ran to its end is not run again."""
    if replica.state == "exited":
        return service.runs_once and not replica.exit_code
    return replica.state in ("created", "running", "restarting") and replica.health != "unhealthy"
