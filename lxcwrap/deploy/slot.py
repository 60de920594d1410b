"""One slot's change: make the new container, wait until it is well, hand it the traffic, stop the old one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lxcwrap.deploy import words
from lxcwrap.deploy.application import Application, Order, Service
from lxcwrap.deploy.host import Host, HostFailed, parsed, run
from lxcwrap.deploy.observation import HostState, Replica, final_name, incoming_name
from lxcwrap.deploy.plan import Action, Change, Leftover
from lxcwrap.errors import LxcwrapError

_DRAIN, _GRACE = 30.0, 10.0  # seconds, for a service that is no longer described
_LONGEST_GRACE = 900.0  # seconds that a container may have given itself to stop
LINES = 20  # of a failed container's output
_MORE = 60.0  # seconds that a command may take beyond the time that it was given

# Tells what happens: the host, the slot, words.
Tell = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Failure:
    """Why a slot did not come to be as wanted.  ``container``: the one that was made for it, kept for a look."""

    change: Change
    reason: str
    container: str = ""
    log: tuple[str, ...] = ()


class Unwell(HostFailed):
    """A container ended, or did not get healthy."""

    def __init__(self, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.log = tuple(log)


@dataclass(frozen=True)
class Slots:
    """What the changes of one deployment share.  ``patience``: seconds that a container has to get healthy."""

    application: Application
    release: int
    hosts: Mapping[str, Host]
    states: Mapping[str, HostState]
    tell: Tell
    patience: float

    def carry_out(self, change: Change) -> Failure | None:
        """Returns what went wrong; the slot is served then as it was before, as far as that is possible."""
        made: list[str] = []
        try:
            self._do(change, made)
        except LxcwrapError as error:
            log = error.log if isinstance(error, Unwell) else ()
            self._say(change, f"failed: {error.message}")
            return Failure(change, error.message, made[0] if made else "", log)
        return None

    def _do(self, change: Change, made: list[str]) -> None:
        if change.action is Action.START:
            self._start_again(change)
        elif change.action is Action.REMOVE:
            self._retire(self.hosts[change.host], change, change.container)
        elif change.order is Order.STOP_FIRST and change.container:
            self._stop_first(change, made)
        else:
            self._start_first(change, made)

    def _start_first(self, change: Change, made: list[str]) -> None:
        host = self.hosts[change.host]
        new = self._new(host, change, made)
        self._up(host, change, new)
        self._take_over(host, change, new)
        if change.container:
            self._retire(self._old_host(change), change, change.container)

    def _stop_first(self, change: Change, made: list[str]) -> None:
        host, old_host = self.hosts[change.host], self._old_host(change)
        new = self._new(host, change, made)
        grace = self._service(change).stop_grace
        self._say(change, "stopping the present one")
        try:
            _stop(old_host, change.container, grace)
            self._up(host, change, new)
            self._take_over(host, change, new)
        except LxcwrapError:
            self._say(change, "starting the present one again")
            with suppress(LxcwrapError):
                run(old_host, "start", change.container)
            raise
        run(old_host, "rm", "-f", change.container)

    def _new(self, host: Host, change: Change, made: list[str]) -> str:
        """A container for the slot, created or left from before."""
        service = self._service(change)
        if change.incoming:
            self._say(change, "carrying on with the one that was begun")
            made.append(change.incoming)
            return change.incoming
        name = incoming_name(self.application.name, service.name, change.slot, self.release)
        labels = words.labels(self.application.name, service, change.slot, self.release, change.spec)
        line = words.create(service, name, service.image, labels, self.binds(host, service))
        made.append(run(host, *line, timeout=_MORE * 5).decode().strip())
        self._say(change, f"created {name}")
        return made[0]

    def binds(self, host: Host, service: Service) -> dict[str, str]:
        """The files of its secrets and configs on a host, by their paths in the container."""
        return words.binds(self.application, service, self.states[host.name])

    def _up(self, host: Host, change: Change, container: str) -> None:
        """Start it and wait until it is well.  Raises Unwell; it is stopped then, and kept."""
        service = self._service(change)
        run(host, "start", container)
        try:
            if service.runs_once:
                self.completed(host, container, change.service)
            else:
                self._say(change, "started; waiting until it is healthy")
                self.healthy(host, container, service)
        except Unwell:
            with suppress(LxcwrapError):
                _stop(host, container, service.stop_grace)
            raise

    def healthy(self, host: Host, container: str, service: Service) -> None:
        """Raises Unwell."""
        line = ("app-end", "wait-healthy", container, "--timeout", f"{self.patience:g}")
        result = host.run((*line, "--monitor", f"{service.update.monitor:g}"), timeout=self.patience + _MORE)
        if not result.code:
            return
        try:
            said = json.loads(result.out)
        except ValueError:
            raise Unwell(f"{host.name}: {result.reason}") from None
        raise Unwell(f"{host.name}: {said['reason']}", _lines(said.get("logs", ())))

    def completed(self, host: Host, container: str, what: str) -> None:
        """Raises Unwell unless it ends with 0."""
        code = int(run(host, "wait", container, timeout=self.patience + _MORE).split()[0])
        if code:
            raise Unwell(f"{host.name}: {what} ended with exit code {code}", last_lines(host, container))

    def _take_over(self, host: Host, change: Change, new: str) -> None:
        name = final_name(self.application.name, change.service, change.slot)
        old = change.container if change.action is Action.REPLACE else ""
        service = self._service(change)
        if old and service.runs_once:
            _stop(host, old, service.stop_grace)
        run(host, *words.take_over(service, new, old, name))
        self._say(change, "done" if service.runs_once else "serves")

    def _retire(self, host: Host, change: Change, container: str) -> None:
        """Open connections finish, then it is stopped and removed."""
        service = self.application.service(change.service)
        drain, grace = (service.drain, service.stop_grace) if service else (_DRAIN, _GRACE)
        self._drain(host, container, _slot(change), drain)
        _stop(host, container, grace)
        run(host, "rm", "-f", container)
        if change.action is Action.REMOVE:
            self._say(change, "removed")
        elif host.name != change.host:
            self.tell(host.name, _slot(change), f"moved to {change.host}")

    def _drain(self, host: Host, container: str, what: str, seconds: float) -> None:
        if seconds and self._is_running(host, container):
            left = _drained(host, container, seconds)
            if left:
                self.tell(host.name, what, f"{left} connections did not end within {seconds:g} s")

    def discard(self, leftover: Leftover) -> None:
        """A container that nothing wants.  Raises HostFailed, Unreachable."""
        host = self.hosts[leftover.host]
        if leftover.serves:
            self._drain(host, leftover.container, leftover.name, _DRAIN)
            run(host, "stop", leftover.container, timeout=_LONGEST_GRACE)
        run(host, "rm", "-f", leftover.container)

    def _is_running(self, host: Host, container: str) -> bool:
        known = next((one for one in self.states[host.name].replicas if one.id == container), None)
        return not known or known.state == "running"

    def _start_again(self, change: Change) -> None:
        host, service = self.hosts[change.host], self._service(change)
        run(host, "start", change.container)
        if service.runs_once:
            self.completed(host, change.container, change.service)
        else:
            self.healthy(host, change.container, service)
        self._say(change, "started")

    def _old_host(self, change: Change) -> Host:
        return self.hosts[change.from_host or change.host]

    def _service(self, change: Change) -> Service:
        service = self.application.service(change.service)
        assert service, change.service
        return service

    def _say(self, change: Change, text: str) -> None:
        self.tell(change.host, _slot(change), text)


def _slot(change: Change) -> str:
    return f"{change.service}-{change.slot}"


def _stop(host: Host, container: str, grace: float) -> None:
    run(host, "stop", "-t", str(int(grace + 0.999)), container, timeout=grace + _MORE)


def _lines(text: str | Sequence[str]) -> list[str]:
    return text.splitlines() if isinstance(text, str) else [str(line) for line in text]


def last_lines(host: Host, container: str) -> list[str]:
    result = host.run(("logs", "--tail", str(LINES), container))
    return [*result.out.decode(errors="replace").splitlines(), *result.err.splitlines()][-LINES:]


def _drained(host: Host, container: str, drain: float) -> int:
    """How many connections were left after ``drain`` seconds."""
    line = ("app-end", "drain", container, "--timeout", f"{drain:g}")
    answer = parsed(host, run(host, *line, timeout=drain + _MORE))
    return int(answer.get("left", 0)) if isinstance(answer, dict) else 0


def replicas_of(states: Mapping[str, HostState], service: str) -> list[tuple[str, Replica]]:
    """Those that serve, with their hosts' names."""
    return [
        (name, one) for name, state in states.items() for one in state.replicas if one.service == service and one.serves
    ]
