"""The lock of an application on every host that takes part: it dies with the operator's connection."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from lxcwrap.deploy.host import Holding, Host, together
from lxcwrap.errors import LxcwrapError, Unreachable

_WAIT = 5  # seconds for one that is just being given back
_SILENCE = 60  # seconds without a beat until a holder ends: its operator is gone
_BEAT = 15.0
_WITHOUT = "nothing was changed; --skip-unreachable goes on without"


class Locked(LxcwrapError):
    """Somebody else changes the application."""

    exit_code = 75  # EX_TEMPFAIL: try again later


class Locks:
    def __init__(self) -> None:
        self._held: dict[str, Holding] = {}
        self._hosts: dict[str, Host] = {}
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self._over.wait(_BEAT):
            for holding in list(self._held.values()):
                holding.beat()

    def add(self, host: Host, holding: Holding) -> None:
        self._held[host.name] = holding
        self._hosts[host.name] = host

    def check(self) -> None:
        """Raises Locked when one was released by somebody, who may be at work.

        One that went with its host's connection keeps nobody from going on: changes there fail by themselves, and
        others need the locks of all hosts.
        """
        lost = [name for name, holding in self._held.items() if not holding.is_alive]
        for name in lost:
            if len(lost) == len(self._held) or self._answers(name):
                raise Locked(f"the lock on {name} is lost: somebody released it, or the connection broke")

    def _answers(self, name: str) -> bool:
        try:
            self._hosts[name].run(("app-end", "drained"), timeout=20)
        except Unreachable:
            return False
        return True

    def close(self) -> None:
        self._over.set()
        for holding in self._held.values():
            with suppress(LxcwrapError):
                holding.close()


@contextmanager
def held(hosts: Sequence[Host], app: str, who: str, why: str) -> Iterator[Locks]:
    """The first by name comes first, so that of two operators one gets all.  Raises Locked, Unreachable."""
    locks = Locks()
    ordered = sorted(hosts, key=lambda host: host.name)
    words = ("app-end", "lock", app, "--who", who, "--why", why, "--wait", str(_WAIT), "--silence", str(_SILENCE))

    def take(host: Host) -> None:
        holding = host.hold(words)
        locks.add(host, holding)
        _checked(host, app, holding)

    try:
        failed = together(ordered[:1], take)
        failed |= together(ordered[1:], take) if not any(failed.values()) or _is_silence(failed) else {}
        _raise(error for error in failed.values() if error)
        yield locks
    finally:
        locks.close()


def _is_silence(failed: Mapping[str, LxcwrapError | None]) -> bool:
    return all(isinstance(error, Unreachable) for error in failed.values())


def _raise(errors: Iterable[LxcwrapError]) -> None:
    """All hosts that do not answer are named at once."""
    failed = list(errors)
    if len(failed) > 1 and all(isinstance(error, Unreachable) for error in failed):
        raise Unreachable("; ".join(error.message for error in failed), hint=_WITHOUT)
    for error in failed:
        if isinstance(error, Unreachable) and not error.hint:
            error.hint = _WITHOUT
    if failed:
        raise next((error for error in failed if isinstance(error, Locked)), failed[0])


def _checked(host: Host, app: str, holding: Holding) -> None:
    try:
        said: dict[str, Any] = json.loads(holding.line or b"{}")
    except ValueError:
        said = {}
    if said.get("held"):
        return
    holder = said.get("holder")
    if not holder:
        raise Unreachable(f"{host.name}: the lock of {app} cannot be taken there")
    raise Locked(
        f"{app} is being changed by {described(holder)} (its lock on {host.name} is held)",
        hint="lxcwrap lock status shows who holds it, lxcwrap lock release ends that",
    )


def described(holder: Any) -> str:
    """Who, since when, and why."""
    if not isinstance(holder, dict):
        return str(holder)
    since = holder.get("since", "")
    if isinstance(since, int | float) and since:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    why = f": {holder['why']}" if holder.get("why") else ""
    return f"{holder.get('who') or 'somebody'} since {since or 'just now'}{why}"
