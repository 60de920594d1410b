"""A deployment from its lock to its record: what ``deploy``, ``rollback``, ``down`` and ``host drain`` share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lxcwrap.deploy import contents, images, planner, release
from lxcwrap.deploy.application import Application, Content
from lxcwrap.deploy.batches import Verdict
from lxcwrap.deploy.executor import Executor, Outcome, Stopped, make_items
from lxcwrap.deploy.fleet import observe
from lxcwrap.deploy.hooks import AFTER, BEFORE, Hooks
from lxcwrap.deploy.host import Host
from lxcwrap.deploy.locks import Locks, held
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.options import Options
from lxcwrap.deploy.options import Unreachable as Silent
from lxcwrap.deploy.plan import Plan
from lxcwrap.deploy.release import Release
from lxcwrap.deploy.slot import Slots
from lxcwrap.errors import LxcwrapError, NotFound, Unreachable

PATIENCE = 300.0  # seconds that a container has to get healthy


class Impossible(LxcwrapError):
    """The plan has problems."""


@dataclass(frozen=True)
class Wish:
    """What is to be, and how.  ``images``: IDs by reference that are gone back to.  ``fresh``: read contents, build."""

    application: Application
    why: str
    who: str
    fresh: bool = True
    images: Mapping[str, str] = field(default_factory=dict)
    patience: float = PATIENCE
    options: Options = field(default_factory=Options)
    given: Mapping[str, bytes] = field(default_factory=dict)  # contents that come from elsewhere, by key
    is_rollback: bool = False
    may_roll_back: bool = True


@dataclass(frozen=True)
class Report:
    """How it went.  ``changed``: whether there was anything to do."""

    number: int
    changed: bool
    outcome: Outcome
    status: str
    unreachable: tuple[str, ...] = ()
    back_to: int = 0  # the release that was gone back to


class Say(Protocol):
    def __call__(self, where: str, what: str, text: str, /) -> None: ...


@dataclass(frozen=True)
class Deployment:
    """``here``: this machine, which builds images and has some; None where it has none."""

    hosts: tuple[Host, ...]
    here: Host | None
    say: Say
    stopping: threading.Event
    copier: images.Copier

    def carry_out(self, wish: Wish) -> Report:
        """Raises Locked, Impossible, Stopped, HostFailed, Unreachable."""
        built = images.build(self.here, wish.application, self.say) if wish.fresh and self.here else {}
        given = {**contents.read_all(_all_contents(wish.application)), **wish.given} if wish.fresh else dict(wish.given)
        hosts = _reachable(self.hosts, wish)
        with held(hosts, wish.application.name, wish.who, wish.why) as locks:
            return _Run(self, wish, hosts, locks, built, given).carry_out()


def _all_contents(application: Application) -> Sequence[Content]:
    return (*application.secrets, *application.configs)


def _reachable(hosts: tuple[Host, ...], wish: Wish) -> tuple[Host, ...]:
    """Those to go on with.  Raises Unreachable when it is none of them."""
    if wish.options.unreachable is Silent.REFUSE:
        return hosts
    silent = {
        state.name: state.problem for state in observe(hosts, Application(wish.application.name)) if state.problem
    }
    if len(silent) == len(hosts):
        raise Unreachable("; ".join(silent.values()))
    return tuple(host for host in hosts if host.name not in silent)


class _Run:
    """One deployment, with the lock."""

    def __init__(
        self, deployment: Deployment, wish: Wish, hosts: tuple[Host, ...], locks: Locks, built: dict[str, str],
        given: dict[str, bytes],
    ) -> None:  # fmt: skip
        self._all = deployment.hosts
        self._hosts = hosts
        self._locks = locks
        self._wish = wish
        self._given = given
        self._say = deployment.say
        self._stopping = deployment.stopping
        self._wanted = {**wish.images, **built}
        self._images = images.Images(deployment.here, built, dict(wish.images), deployment.say, deployment.copier)
        self._deployment = deployment
        self._rotated = False
        self._records = release.all_records(hosts, wish.application.name)
        self._number = max((one.release.number for one in self._records), default=0) + 1
        self._options = replace(
            wish.options, previous=self._last_application(), placed=self._places(),
            rolling_back=wish.is_rollback,
        )  # fmt: skip

    def _last_application(self) -> Application | None:
        try:
            return release.wanted(self._records, self._wish.application.name).application
        except NotFound:
            return None

    def _places(self) -> tuple[tuple[str, int, str], ...]:
        return self._records[-1].release.places if self._records else ()

    def carry_out(self) -> Report:
        application = self._wish.application
        if self._wish.fresh:
            self._images.pull(self._hosts, application)
        states = self._observe()
        plan = self._plan(states)
        states, plan = self._bring_contents(plan, states)
        if self._stopping.is_set():
            raise Stopped
        if plan.is_empty:
            return Report(self._number - 1, False, Outcome(), release.DONE, self._unreachable(states))
        record = Release(
            self._number, self._wish.who, self._wish.why,
            contents.recorded(application) if self._wish.fresh else application,
            time=release.now(), hosts=tuple(host.name for host in self._all), hooks=self._hooks_done(),
            places=self._places(),
        )  # fmt: skip
        release.put(self._hosts, record)
        self._say("", "", f"release {self._number} of {application.name}")
        try:
            return self._changes(plan, states, record)
        except LxcwrapError as error:
            status = release.STARTED if isinstance(error, Stopped) else release.FAILED
            release.put_where_possible(self._hosts, replace(record, status=status, ended=release.now()))
            raise

    def _observe(self) -> tuple[HostState, ...]:
        """All hosts, those that do not answer too."""
        return observe(self._all, self._wish.application)

    def _plan(self, states: Sequence[HostState]) -> Plan:
        """Raises Impossible."""
        plan = planner.plan(
            self._wish.application, states, release=self._number, images=self._wanted, options=self._options
        )
        if plan.problems:
            raise Impossible("; ".join(plan.problems), hint=_hint(plan.problems))
        return plan

    def _bring_contents(self, plan: Plan, states: tuple[HostState, ...]) -> tuple[tuple[HostState, ...], Plan]:
        """Secrets and configs to where they are needed, which may change the plan."""
        application = self._wish.application
        needs = contents.needed(application, plan, states)
        if not any(needs.values()):
            return states, plan
        self._given |= contents.at_hand(application, contents.lacking(needs, states) - set(self._given))
        versions = contents.put(self._hosts, application, needs, self._given)
        self._rotated = any(versions[state.name].items() - set(state.secrets) for state in states if not state.problem)
        states = tuple(contents.with_versions(state, versions.get(state.name, {})) for state in states)
        contents.missing(application, needs, states)
        return states, self._plan(states)

    def _changes(self, plan: Plan, states: tuple[HostState, ...], record: Release) -> Report:
        application = self._wish.application
        slots = self._slots(application, states)
        make_items(slots, plan.items)
        if any(item.kind == "image" for item in plan.items):
            self._images.bring(self._hosts, plan.items)
            versions = {state.name: dict(state.secrets) for state in states}
            fresh = self._observe()
            states = tuple(contents.with_versions(state, versions.get(state.name, {})) for state in fresh)
            plan = self._plan(states)
            slots = self._slots(application, states)
        identities = _image_ids(application, states, self._wanted)
        record = replace(record, images=identities)
        hooks = Hooks(slots, plan, identities, record.hooks, self._noted(record))
        if self._had_hooks():
            hooks.clear(others=True)
        if not self._wish.is_rollback:
            hooks.run(BEFORE)
        outcome = self._executor(slots, self._wish.is_rollback).carry_out(plan)
        if outcome.failures and outcome.verdict is Verdict.ROLL_BACK and self._wish.may_roll_back:
            return self._back(outcome, record, states)
        status = release.FAILED if outcome.failures else release.DONE
        if not outcome.failures and not self._wish.is_rollback:
            hooks.run(AFTER)
        final = self._observe()
        self._end(record, status, final)
        if status == release.DONE:
            if self._had_hooks():
                hooks.clear()
            if self._rotated:
                contents.forget_unused(self._hosts, application)
        return Report(self._number, True, outcome, status, self._unreachable(final))

    def _end(self, record: Release, status: str, final: Sequence[HostState]) -> None:
        silent = {state.name for state in final if state.problem}
        places = (*planner.places(final), *(place for place in self._places() if place[2] in silent))
        done = replace(record, status=status, ended=release.now(), places=places)
        for name, error in release.put_where_possible(self._hosts, done).items():
            self._say(name, "release", f"not recorded: {error.message}")

    def _noted(self, record: Release) -> Callable[[str], None]:
        keys = list(record.hooks)

        def note(key: str) -> None:
            keys.append(key)
            release.put(self._hosts, replace(record, hooks=tuple(keys)))

        return note

    def _hooks_done(self) -> tuple[str, ...]:
        """Those that an interrupted deployment, the last one, has run."""
        last = self._records[-1].release if self._records else None
        return last.hooks if last and last.status != release.DONE else ()

    def _had_hooks(self) -> bool:
        """Whether there may be containers of hooks."""
        applications = (self._wish.application, *(one.release.application for one in self._records[-2:]))
        return any(hook.service for application in applications for hook in application.hooks)

    def _slots(self, application: Application, states: Sequence[HostState]) -> Slots:
        hosts = {host.name: host for host in self._hosts}
        known = {state.name: state for state in states if state.name in hosts}
        return Slots(application, self._number, hosts, known, self._say, self._wish.patience)

    def _executor(self, slots: Slots, is_rollback: bool) -> Executor:
        return Executor(slots, self._locks.check, self._stopping, is_rollback)

    def _unreachable(self, states: Sequence[HostState]) -> tuple[str, ...]:
        return tuple(state.problem for state in states if state.problem)

    def _back(self, outcome: Outcome, record: Release, states: Sequence[HostState]) -> Report:
        """To the last release that was completed.  The containers that failed are kept."""
        try:
            last = release.wanted(self._records, self._wish.application.name)
        except NotFound:
            self._say("", "", "there is no earlier release to go back to: what serves goes on serving")
            self._end(record, release.FAILED, self._observe())
            return Report(self._number, True, outcome, release.FAILED)
        self._say("", "", f"going back to release {last.number}")
        wanted = images_of(last)
        fresh = observe(self._all, last.application)
        options = replace(self._options, previous=self._wish.application, rolling_back=True)
        plan = planner.plan(last.application, fresh, release=self._number, images=wanted, options=options)
        kept = {failure.container for failure in outcome.failures}
        plan = replace(plan, leftovers=tuple(one for one in plan.leftovers if one.container not in kept))
        slots = self._slots(last.application, fresh)
        make_items(slots, plan.items)
        images.Images(self._deployment.here, {}, wanted, self._say, self._deployment.copier).bring(
            self._hosts, plan.items
        )
        needs = contents.needed(last.application, plan, fresh)
        contents.put(self._hosts, last.application, needs, contents.read_all(last.application.configs))
        again = observe(self._all, last.application)
        plan = planner.plan(last.application, again, release=self._number, images=wanted, options=options)
        plan = replace(plan, leftovers=tuple(one for one in plan.leftovers if one.container not in kept))
        back = self._executor(self._slots(last.application, again), True).carry_out(plan)
        outcome.failures += back.failures
        status = release.FAILED if back.failures else release.ROLLED_BACK
        self._end(record, status, self._observe())
        return Report(self._number, True, outcome, status, back_to=last.number)


def _hint(problems: Sequence[str]) -> str:
    external = any(problem.startswith("secret ") and "external" in problem for problem in problems)
    return "nothing was changed" + ("; lxcwrap secret set brings one there" if external else "")


def images_of(last: Release) -> dict[str, str]:
    """IDs by reference."""
    return {
        service.image: last.images[service.name]
        for service in last.application.services
        if last.images.get(service.name)
    }


def _image_ids(application: Application, states: Sequence[HostState], wanted: Mapping[str, str]) -> dict[str, str]:
    """By service: the ID that is wanted, or that which a host has."""
    found = {}
    for service in application.services:
        there = [dict(state.images).get(service.image, "") for state in states]
        found[service.name] = wanted.get(service.image) or next(filter(None, there), "")
    return found
