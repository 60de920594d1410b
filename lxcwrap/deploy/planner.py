"""What has to change: from an application and what its hosts have to a plan.  Nothing is asked or done here."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from lxcwrap.deploy import present as observed
from lxcwrap.deploy.application import Application, Mode, Service
from lxcwrap.deploy.changes import Changes
from lxcwrap.deploy.leftovers import leftovers
from lxcwrap.deploy.needs import Needing, is_local, volumes_of
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.options import NO_OPTIONS, Options, Unreachable
from lxcwrap.deploy.order import impossible
from lxcwrap.deploy.placement import Ground, Placing, Wishes, place
from lxcwrap.deploy.plan import Action, Change, Plan
from lxcwrap.deploy.present import Places
from lxcwrap.deploy.wanted import Wants
from lxcwrap.errors import UsageError


def places(states: Iterable[HostState]) -> Places:
    """Which host serves which slot: kept with a release, for the day when a host does not answer."""
    serving = ((one.service, one.slot, state.name) for state in states for one in state.replicas if one.serves)
    return tuple(sorted(serving))


def plan(
    application: Application,
    states: Sequence[HostState],
    *,
    release: int,
    images: Mapping[str, str] | None = None,
    options: Options = NO_OPTIONS,
) -> Plan:
    """Raises UsageError for a service that there is not, or a constraint that is none.

    ``images``: wanted IDs by reference; one that is not in it is taken from each host.  Without services everything is
    removed.
    """
    return _Planning(application, states, images or {}, options).plan(release)


def down(application: Application, states: Sequence[HostState], options: Options = NO_OPTIONS) -> Plan:
    """Everything goes; what depends on others first."""
    options = replace(options, only=(), previous=application)
    return plan(Application(application.name), states, release=0, options=options)


def drain(
    application: Application,
    states: Sequence[HostState],
    host: str,
    *,
    release: int,
    images: Mapping[str, str] | None = None,
    options: Options = NO_OPTIONS,
) -> Plan:
    """A plan in which ``host`` counts as drained.  ``application`` is the one that was deployed last."""
    if all(state.name != host for state in states):
        raise UsageError(f"no such host: {host}")
    options = replace(options, drained=(*options.drained, host))
    return plan(application, states, release=release, images=images, options=options)


class _Planning:
    """The parts of one plan."""

    def __init__(
        self, application: Application, states: Sequence[HostState], images: Mapping[str, str], options: Options
    ) -> None:
        self.app = application
        self.options = options
        self.planned = _planned(application, options)
        answering = sorted((state for state in states if not state.problem), key=lambda state: state.name)
        self.silent = {state.name: state.problem for state in states if state.problem}
        self.hosts = {state.name: state for state in answering}
        self.present = observed.sort(application.name, answering)
        self.wants = Wants(application, images)

    def plan(self, release: int) -> Plan:
        placings = list(self._place())
        changes = Changes(self.app, self.hosts, self.present, self.wants, self.options)
        for placing in placings:
            changes.add(placing, self._lost(placing.service.name))
        ordered = tuple(changes.in_order())
        needs = Needing(self.app, self.wants).of(self.hosts, self._users(placings))
        problems = (*self._silence(), *_problems(placings, self.app, self.planned), *needs.problems)
        return Plan(
            self.app.name,
            release,
            items=tuple(needs.missing),
            changes=ordered,
            leftovers=tuple(leftovers(self.app, self.present, changes.used, self._concerned, self.options.previous)),
            kept=changes.kept,
            problems=(*problems, *self._left_volumes(ordered)),
        )

    def _place(self) -> Iterator[Placing]:
        there = {
            service: {slot: found.host.name for slot, found in slots.items()}
            for service, slots in self.present.serving.items()
        }
        if self.options.unreachable is not Unreachable.MOVE:
            for service, slot, host in self._silent_places(there):
                there.setdefault(service, {}).setdefault(slot, host)
        ground = Ground(self.hosts, frozenset(self.options.drained), frozenset(self.silent))
        return place(self.app.services, self.planned, there, ground, self._wishes())

    def _silent_places(self, there: Mapping[str, Mapping[int, str]]) -> Places:
        """What hosts that do not answer had; without a record everything that is missing is taken to be there."""
        if not self.silent or self.options.placed:
            return tuple(one for one in self.options.placed if one[2] in self.silent)
        if not any(host.release for host in self.hosts.values()):
            return ()
        somewhere = min(self.silent)
        return tuple(
            (service.name, slot, somewhere)
            for service in self.app.services
            if service.mode is Mode.REPLICATED
            for slot in range(1, service.replicas + 1)
            if slot not in there.get(service.name, {})
        )

    def _lost(self, service: str) -> dict[int, str]:
        """Slots that were on a host that does not answer, when they are made anew."""
        if self.options.unreachable is not Unreachable.MOVE:
            return {}
        return {slot: host for name, slot, host in self.options.placed if name == service and host in self.silent}

    def _wishes(self) -> Wishes:
        coming = {
            key: [found.host.name for found in founds if self._as_wanted(found)]
            for key, founds in self.present.coming.items()
        }
        holders = {}
        for service in self.app.services:
            keys = {volume.key for volume in volumes_of(self.app, service) if is_local(volume)}
            if keys and service.name in self.planned:
                holders[service.name] = [name for name, host in self.hosts.items() if keys <= set(host.volumes)]
        return Wishes(coming, holders)

    def _as_wanted(self, found: observed.Found) -> bool:
        service = self.app.service(found.replica.service)
        return service is not None and found.replica.spec == self.wants.on(found.host, service).spec

    def _users(self, placings: Iterable[Placing]) -> dict[str, list[Service]]:
        users: dict[str, list[Service]] = {}
        for placing in placings:
            for host in dict.fromkeys(placed.host for placed in placing.placed):
                if host in self.hosts:
                    users.setdefault(host, []).append(placing.service)
        return users

    def _concerned(self, service: str) -> bool:
        return not self.options.only or service in self.planned

    def _silence(self) -> Iterator[str]:
        """Hosts that have to answer first."""
        if self.options.unreachable is not Unreachable.REFUSE:
            return
        held: dict[str, list[str]] = {}
        for service, slot, host in self.options.placed:
            if self._concerned(service):
                held.setdefault(host, []).append(f"{service} {slot}")
        for name, why in sorted(self.silent.items()):
            if name in held:
                yield f"{name} does not answer ({why}); it has {_some(held[name])}"
            elif not self.options.placed:
                yield f"{name} does not answer ({why}); what it has is not known"

    def _left_volumes(self, changes: Iterable[Change]) -> Iterator[str]:
        """Moves that would have a service begin with an empty volume."""
        for change in changes:
            service = self.app.service(change.service)
            if change.action is not Action.MOVE or service is None or self.options.leave_volumes:
                continue
            for volume in volumes_of(self.app, service):
                if is_local(volume) and volume.key not in self.hosts[change.host].volumes:
                    yield (
                        f"{change.service} {change.slot} would move from {change.from_host} to {change.host}, "
                        f"away from what is in its volume {volume.key}"
                    )


def _planned(application: Application, options: Options) -> Collection[str]:
    names = [service.name for service in application.services]
    for name in options.only:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
            raise UsageError(f"no such service: {name}", hint=hint)
    return frozenset(options.only or names)


def _problems(placings: Iterable[Placing], application: Application, planned: Collection[str]) -> Iterator[str]:
    yield from (placing.problem for placing in placings if placing.problem)
    for service in application.services:
        why = impossible(service) if service.name in planned else ""
        if why:
            yield f"{service.name}: start-first is not possible: {why}"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
