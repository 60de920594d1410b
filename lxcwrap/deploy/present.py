"""What the hosts have of an application, sorted by what it is: serving a slot, coming to serve one, or neither."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lxcwrap.deploy.observation import HostState, Replica, final_name

COMING = re.compile(r"-r[0-9]+")  # behind the final name: see observation.incoming_name
UP = frozenset({"running", "paused", "restarting"})

Places = tuple[tuple[str, int, str], ...]  # service, slot and host


@dataclass(frozen=True)
class Found:
    """A container and its host."""

    host: HostState
    replica: Replica


@dataclass
class Present:
    """``serving``: by service and slot.  ``doubles`` have the name of a slot that another host serves as well."""

    serving: dict[str, dict[int, Found]] = field(default_factory=dict)
    doubles: list[Found] = field(default_factory=list)
    coming: dict[tuple[str, int], list[Found]] = field(default_factory=dict)
    others: list[Found] = field(default_factory=list)

    def add(self, app: str, found: Found) -> None:
        replica = found.replica
        final = final_name(app, replica.service, replica.slot)
        if replica.slot < 1 or not replica.name.startswith(final):
            self.others.append(found)
        elif replica.name == final:
            self._serve(found)
        elif COMING.fullmatch(replica.name, len(final)):
            self.coming.setdefault((replica.service, replica.slot), []).append(found)
        else:
            self.others.append(found)

    def _serve(self, found: Found) -> None:
        slots = self.serving.setdefault(found.replica.service, {})
        before = slots.setdefault(found.replica.slot, found)
        if before is not found:  # an interrupted move
            better = max(before, found, key=_worth)
            slots[found.replica.slot] = better
            self.doubles.append(found if better is before else before)


def _worth(found: Found) -> tuple[bool, bool, bool, int]:
    replica = found.replica
    return not found.host.drained, replica.state in UP, replica.health != "unhealthy", replica.release


def sort(app: str, states: Iterable[HostState]) -> Present:
    """Hosts in the order of ``states``."""
    present = Present()
    for host in states:
        for replica in sorted(host.replicas, key=lambda replica: replica.name):
            present.add(app, Found(host, replica))
    return present
