"""Carries a plan out: service by service, in batches, until all is done, something fails or it has to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby

from lxcwrap.deploy.application import Condition, Dependency, Service
from lxcwrap.deploy.batches import Progress, Verdict, batches
from lxcwrap.deploy.host import AT_ONCE, run, together
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.plan import Action, Change, Item, Leftover, Plan
from lxcwrap.deploy.slot import Failure, Slots, replicas_of
from lxcwrap.errors import LxcwrapError


class Stopped(LxcwrapError):
    """Somebody wants it to stop: what was begun is finished, the rest is not begun."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("stopped: what was begun is finished", hint="the next deployment carries on from here")


@dataclass
class Outcome:
    """What became of the plan.  ``verdict``: what follows."""

    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    verdict: Verdict = Verdict.GO_ON


@dataclass(frozen=True)
class Executor:
    """``check`` raises when a lock is lost; ``stopping`` is set by who wants it to stop after the present step."""

    slots: Slots
    check: Callable[[], None]
    stopping: threading.Event
    is_rollback: bool = False

    def carry_out(self, plan: Plan) -> Outcome:
        """Raises Stopped, Unreachable."""
        outcome = Outcome()
        self.clear((one for one in plan.leftovers if not one.serves), outcome)
        removals = [change for change in plan.changes if change.action is Action.REMOVE]
        changes = [change for change in plan.changes if change.action is not Action.REMOVE]
        for name, group in groupby(changes, key=lambda change: change.service):
            if not self._service(name, list(group), outcome):
                return outcome
        self._restart_dependents(changes, outcome)
        if not outcome.failures:
            self._each(removals, outcome)
            for _, same in groupby((one for one in plan.leftovers if one.serves), key=_service_of):
                self.clear(same, outcome)
        return outcome

    def _service(self, name: str, changes: Sequence[Change], outcome: Outcome) -> bool:
        """Whether to go on with the next."""
        service = self.slots.application.service(name)
        assert service, name
        for dependency in service.depends_on:
            self._wait_for(dependency, service)
        update = service.rollback if self.is_rollback else service.update
        progress = Progress(update, len(changes))
        for batch in batches(changes, update.parallelism):
            failures = self._each(batch, outcome)
            progress = progress.after(len(batch) - len(failures), len(failures))
            if progress.verdict is not Verdict.GO_ON:
                outcome.verdict = progress.verdict
                return False
            if progress.delay and self.stopping.wait(progress.delay):
                raise Stopped
        return True

    def _each(self, changes: Sequence[Change], outcome: Outcome) -> list[Failure]:
        """Side by side."""
        if not changes:
            return []
        self._may_go_on()
        with ThreadPoolExecutor(min(AT_ONCE, len(changes))) as pool:
            failures = [failure for failure in pool.map(self.slots.carry_out, changes) if failure]
        outcome.failures += failures
        outcome.done += len(changes) - len(failures)
        return failures

    def _may_go_on(self) -> None:
        if self.stopping.is_set():
            raise Stopped
        self.check()

    def _wait_for(self, dependency: Dependency, service: Service) -> None:
        """Raises LxcwrapError when it is not to be."""
        other = self.slots.application.service(dependency.service)
        if dependency.condition is Condition.STARTED or not other:
            return
        for state in observed(self.slots):
            for one in state.replicas:
                if one.service != other.name or not one.serves:
                    continue
                host = self.slots.hosts[state.name]
                try:
                    if dependency.condition is Condition.COMPLETED:
                        self.slots.completed(host, one.id, other.name)
                    elif one.health != "healthy":
                        self.slots.healthy(host, one.id, other)
                except LxcwrapError as error:
                    if dependency.required:
                        raise LxcwrapError(f"{service.name} waits for {other.name}, in vain: {error.message}") from None

    def _restart_dependents(self, changes: Iterable[Change], outcome: Outcome) -> None:
        """Of a service that was changed, those that say ``restart: true`` and were not changed themselves."""
        changed = {change.service for change in changes}
        for service in self.slots.application.services:
            if service.name in changed or not any(one.restart and one.service in changed for one in service.depends_on):
                continue
            for host, replica in replicas_of(self.slots.states, service.name):
                self._may_go_on()
                run(self.slots.hosts[host], "restart", replica.id)
                self.slots.tell(host, f"{service.name}-{replica.slot}", "restarted")
                outcome.done += 1

    def clear(self, leftovers: Iterable[Leftover], outcome: Outcome) -> None:
        """Remove containers that nothing wants; what cannot be removed is told, and found again the next time."""
        chosen = list(leftovers)
        if chosen:
            self._may_go_on()
            with ThreadPoolExecutor(min(AT_ONCE, len(chosen))) as pool:
                outcome.done += sum(pool.map(self._cleared, chosen))

    def _cleared(self, one: Leftover) -> bool:
        try:
            self.slots.discard(one)
        except LxcwrapError as error:
            self.slots.tell(one.host, one.name, f"not removed: {error.message}")
            return False
        self.slots.tell(one.host, one.name, f"removed: {one.reason}")
        return True


def _service_of(leftover: Leftover) -> str:
    """As its name has it: those of one service go together."""
    return leftover.name.rpartition("-")[0]


def observed(slots: Slots) -> Iterator[HostState]:
    """The hosts as they are now."""
    from lxcwrap.deploy.fleet import observe

    return iter(observe(list(slots.hosts.values()), slots.application))


def make_items(slots: Slots, items: Sequence[Item]) -> None:
    """Networks and volumes that hosts lack.  Raises HostFailed, Unreachable."""
    networks = {network.key: network.words for network in slots.application.networks}
    volumes = {volume.key: volume.words for volume in slots.application.volumes}
    wanted = [item for item in items if item.kind in ("network", "volume")]
    hosts = [slots.hosts[name] for name in dict.fromkeys(item.host for item in wanted)]

    def make(host: object) -> None:
        for item in wanted:
            if slots.hosts[item.host] is host:
                words = (networks if item.kind == "network" else volumes)[item.name]
                run(slots.hosts[item.host], item.kind, "create", *words, item.name)
                slots.tell(item.host, item.name, f"{item.kind} created")

    for result in together(hosts, make).values():
        if isinstance(result, LxcwrapError):
            raise result
