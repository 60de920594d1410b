"""Which host each slot is on: with the fewest moves, spread, within constraints and what the hosts have.

What is there stays, unless its host does not qualify any more or is too small; only then the rest is placed.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lxcwrap.deploy import constraints
from lxcwrap.deploy.application import Mode, Service
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.room import Need, Room
from lxcwrap.deploy.spread import Spread, rank

SHOWN = 3  # hosts that are named for each reason


@dataclass(frozen=True)
class Placed:
    """A slot, its host, and where it was before ('' nowhere).  ``why`` it could not stay."""

    slot: int
    host: str
    was: str = ""
    why: str = ""


@dataclass(frozen=True)
class Surplus:
    """A slot that goes."""

    slot: int
    host: str
    why: str


@dataclass
class Placing:
    """What became of one service."""

    service: Service
    placed: list[Placed] = field(default_factory=list)
    surplus: list[Surplus] = field(default_factory=list)
    waiting: list[Placed] = field(default_factory=list)  # to be placed; ``host`` is not known yet
    problem: str = ""


Present = Mapping[str, Mapping[int, str]]  # host by service and slot


@dataclass(frozen=True)
class Wishes:
    """Hosts that are tried before others: an interrupted deployment has a slot's container, a volume has its data."""

    coming: Mapping[tuple[str, int], Sequence[str]] = field(default_factory=dict)  # by service and slot
    holders: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by service, for one container each


@dataclass(frozen=True)
class Ground:
    """Where things are placed: hosts that answer, those that count as drained, those that do not answer."""

    hosts: Mapping[str, HostState]
    drained: Collection[str] = ()
    silent: Collection[str] = ()


class Placement:
    """``settle`` each service, then ``spread`` each: what is there is counted before anything new is placed."""

    def __init__(self, ground: Ground, wishes: Wishes) -> None:
        self.ground = ground
        self.wishes = wishes
        self.rooms = {name: Room(host) for name, host in sorted(ground.hosts.items())}
        self._refusals: dict[tuple[str, ...], dict[str, str]] = {}

    def count(self, service: Service, present: Mapping[int, str]) -> None:
        """A service that is not placed now takes what it has."""
        need = Need.of(service)
        for host in present.values():
            if host in self.rooms:
                self.rooms[host].take(need)

    def settle(self, service: Service, present: Mapping[int, str]) -> Placing:
        """Decide what stays, what goes, and what has to be placed."""
        placing = Placing(service)
        refusals = self._refused(service)
        if service.mode is Mode.GLOBAL:
            kept = _one_for_each_host(present, refusals, placing)
        else:
            kept = self._enough(service, present, refusals, placing)
        need = Need.of(service)
        for slot in sorted(kept):
            self._stay_or_wait(placing, slot, kept[slot], need, refusals)
        wanted = self._missing_hosts(placing, refusals) if service.mode is Mode.GLOBAL else service.replicas - len(kept)
        free = (number for number in itertools.count(1) if number not in present)
        placing.waiting += [Placed(slot, "") for slot in itertools.islice(free, max(wanted, 0))]
        return placing

    def _enough(
        self, service: Service, present: Mapping[int, str], refusals: Mapping[str, str], placing: Placing
    ) -> dict[int, str]:
        if len(present) <= service.replicas:
            return dict(present)
        keys = [constraints.preference(text) for text in service.placement.preferences]
        order = rank({slot: self.ground.hosts.get(host) for slot, host in present.items()}, keys)
        order.sort(key=lambda slot: refusals.get(present[slot]) != "")  # those that have to go or do not answer: last
        for slot in sorted(order[service.replicas :], reverse=True):
            placing.surplus.append(Surplus(slot, present[slot], f"{service.replicas} of it are wanted"))
        return {slot: present[slot] for slot in order[: service.replicas]}

    def _stay_or_wait(self, placing: Placing, slot: int, host: str, need: Need, refusals: Mapping[str, str]) -> None:
        if host in self.ground.silent:
            placing.placed.append(Placed(slot, host, host))
            return
        why = refusals[host] or self.rooms[host].refuses(need)
        if why:
            placing.waiting.append(Placed(slot, "", host, why))
        else:
            self.rooms[host].take(need)
            placing.placed.append(Placed(slot, host, host))

    def _missing_hosts(self, placing: Placing, refusals: Mapping[str, str]) -> int:
        there = {placed.host for placed in (*placing.placed, *placing.waiting)} | {one.was for one in placing.waiting}
        return sum(1 for name, refusal in refusals.items() if not refusal and name not in there)

    def spread(self, placing: Placing) -> None:
        """Place what waits; what finds no host stays where it was, and ``problem`` says why."""
        if not placing.waiting:
            return
        service, need = placing.service, Need.of(placing.service)
        refusals = self._refused(service)
        waiting = [one for one in placing.waiting if not self._grant(placing, one, need, refusals)]
        keys = [constraints.preference(text) for text in service.placement.preferences]
        allowed = (room for name, room in self.rooms.items() if not refusals[name])
        spread = Spread(allowed, service.name, keys if service.mode is Mode.REPLICATED else ())
        homeless = []
        for one in waiting:
            room = spread.take(need)
            if room is None:
                homeless.append(one)
            else:
                placing.placed.append(Placed(one.slot, room.host.name, one.was, one.why))
        placing.placed += [Placed(one.slot, one.was, one.was) for one in homeless if one.was]
        placing.placed.sort(key=lambda one: one.slot)
        placing.waiting = homeless
        placing.problem = self._explain(service, homeless, need, refusals) if homeless else ""

    def _grant(self, placing: Placing, one: Placed, need: Need, refusals: Mapping[str, str]) -> bool:
        service = placing.service.name
        for name in self.wishes.coming.get((service, one.slot), ()):
            if name in self.rooms and self._give(placing, one, name, need, refusals):
                return True
        empty = (name for name in self.wishes.holders.get(service, ()) if service not in self.rooms[name].services)
        return any(self._give(placing, one, name, need, refusals) for name in empty)

    def _give(self, placing: Placing, one: Placed, name: str, need: Need, refusals: Mapping[str, str]) -> bool:
        if refusals[name] or self.rooms[name].refuses(need):
            return False
        self.rooms[name].take(need)
        placing.placed.append(Placed(one.slot, name, one.was, one.why))
        return True

    def _refused(self, service: Service) -> dict[str, str]:
        """Why each host may not have the service at all, '' if it may."""
        texts = service.placement.constraints
        if texts not in self._refusals:
            parsed = [constraints.parse(text) for text in texts]
            self._refusals[texts] = {name: self._refusal(room.host, parsed) for name, room in self.rooms.items()}
        return self._refusals[texts]

    def _refusal(self, host: HostState, parsed: Sequence[constraints.Constraint]) -> str:
        if host.drained or host.name in self.ground.drained:
            return "it is drained"
        return next(filter(None, (constraint.refuses(host) for constraint in parsed)), "")

    def _explain(self, service: Service, homeless: Sequence[Placed], need: Need, refusals: Mapping[str, str]) -> str:
        hosts: dict[str, list[str]] = {}
        for name, room in self.rooms.items():
            hosts.setdefault(refusals[name] or room.refuses(need), []).append(name)
        slots = ", ".join(str(one.slot) for one in homeless[:SHOWN]) + (", …" if len(homeless) > SHOWN else "")
        text = "; ".join(f"{_names(names)}: {why}" for why, names in hosts.items()) or "there is no host"
        return f"no host for {service.name} {slots}: {text}"


def _one_for_each_host(present: Mapping[int, str], refusals: Mapping[str, str], placing: Placing) -> dict[int, str]:
    kept: dict[int, str] = {}
    hosts: set[str] = set()
    for slot in sorted(present):
        host = present[slot]
        refusal = refusals.get(host, "")
        if refusal or host in hosts:
            placing.surplus.append(Surplus(slot, host, refusal or "there is one on the host already"))
        else:
            kept[slot] = host
            hosts.add(host)
    return kept


def _names(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def place(
    services: Sequence[Service], planned: Collection[str], present: Present, ground: Ground, wishes: Wishes
) -> Iterator[Placing]:
    """What becomes of each service in ``planned``; the others stay and take room."""
    placement = Placement(ground, wishes)
    for service in services:
        if service.name not in planned:
            placement.count(service, present.get(service.name, {}))
    wanted = (service for service in services if service.name in planned)
    placings = [placement.settle(service, present.get(service.name, {})) for service in wanted]
    for placing in placings:
        placement.spread(placing)
        yield placing
