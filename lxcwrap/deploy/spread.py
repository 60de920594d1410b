"""Spreading one service's containers: evenly over its preferences, within them over hosts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from lxcwrap.deploy import constraints
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.room import Need, Room


class Spread:
    """Hosts, the emptiest first.  A tree with a level per preference: the branch with fewest containers goes first.

    Within one service hosts only fill up, so one that has refused need not be asked again.
    """

    def __init__(self, rooms: Iterable[Room], service: str, keys: Sequence[str]) -> None:
        self.service = service
        self.top = self._branch("", list(rooms), keys)

    def _branch(self, name: str, rooms: list[Room], keys: Sequence[str]) -> _Branch:
        if not keys:
            hosts = [(room.services.get(self.service, 0), room.containers, room.host.name, room) for room in rooms]
            return _Branch(name, sum(host[0] for host in hosts), hosts, [])

        def value(room: Room) -> str:
            return constraints.fact(keys[0], room.host)

        groups = groupby(sorted(rooms, key=value), key=value)
        children = [self._branch(called, list(group), keys[1:]) for called, group in groups]
        return _Branch(name, sum(child.count for child in children), [], children)

    def take(self, need: Need) -> Room | None:
        """The next host that has room, with ``need`` taken from it."""
        return self.top.take(need)


class _Branch:
    __slots__ = ("children", "count", "hosts", "name")

    def __init__(
        self, name: str, count: int, hosts: list[tuple[int, int, str, Room]], children: Iterable[_Branch]
    ) -> None:
        self.name = name
        self.count = count
        self.hosts = hosts
        self.children = [(child.count, child.name, child) for child in children]
        heapq.heapify(self.hosts)
        heapq.heapify(self.children)

    def take(self, need: Need) -> Room | None:
        room = self._take_child(need) if self.children else self._take_host(need)
        self.count += room is not None
        return room

    def _take_child(self, need: Need) -> Room | None:
        while self.children:
            count, name, child = self.children[0]
            room = child.take(need)
            if room is not None:
                heapq.heapreplace(self.children, (count + 1, name, child))
                return room
            heapq.heappop(self.children)
        return None

    def _take_host(self, need: Need) -> Room | None:
        while self.hosts:
            count, _, name, room = self.hosts[0]
            if not room.refuses(need):
                room.take(need)
                heapq.heapreplace(self.hosts, (count + 1, room.containers, name, room))
                return room
            heapq.heappop(self.hosts)
        return None


def rank(slots: Mapping[int, HostState | None], keys: Sequence[str]) -> list[int]:
    """Slots in the order in which they are worth keeping: the last ones are surplus on crowded hosts, highest first."""
    order = sorted(slots)
    levels = [(*keys, "node.hostname"), *(tuple(keys[:length]) for length in range(len(keys), 0, -1))]
    for level in levels:
        seen: dict[tuple[str, ...], int] = {}
        turn: dict[int, int] = {}
        for slot in order:
            path = _path(slots[slot], level)
            turn[slot] = seen[path] = seen.get(path, -1) + 1
        order.sort(key=turn.__getitem__)
    return order


def _path(host: HostState | None, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(constraints.fact(key, host) for key in keys) if host else ()
