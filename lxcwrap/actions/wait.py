"""``wait --condition``: for the next end, for the removal, or for health."""

from __future__ import annotations

import os
import time

from lxcwrap.actions import stop
from lxcwrap.errors import Conflict, NotFound
from lxcwrap.kernel.journal import Reader
from lxcwrap.kernel.watch import Watch
from lxcwrap.runtime import state
from lxcwrap.store import containers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

CONDITIONS = ("not-running", "next-exit", "removed", "healthy")
_LOOK = 2.0  # seconds between looks for a supervisor that was killed: it leaves no event


def wait(store: Store, container: Container, condition: str = "not-running") -> int:
    """Wait until it is so; the exit code, 0 for ``healthy``.  Raises Conflict when it cannot become so."""
    if condition == "not-running":
        return stop.wait(store, container)
    return _Wait(store, container, condition).run()


class _Wait:
    """What is looked at whenever the journal grows."""

    def __init__(self, store: Store, container: Container, condition: str) -> None:
        self._store, self._container, self._condition = store, container, condition
        os.makedirs(os.path.dirname(store.paths.events), 0o700, exist_ok=True)
        self._watch = Watch(os.path.dirname(store.paths.events))
        self._began = time.time_ns()
        self._reader = Reader(store.paths.events)
        self._last = state.read(store.paths, container.id)

    def run(self) -> int:
        while True:
            found = self._met()
            if found is not None:
                return found
            self._watch.wait(_LOOK)

    def _met(self) -> int | None:
        died = self._died()
        if self._condition == "next-exit" and died is not None:
            return died
        now = state.read(self._store.paths, self._container.id)
        if self._is_removed():
            if self._condition == "healthy":
                raise Conflict(f"container {self._container.name} was removed before it was healthy")
            return self._last.exit_code if died is None else died
        was_live, self._last = self._last.live, now
        if self._condition == "healthy":
            return self._healthy(now)
        return now.exit_code if self._condition == "next-exit" and was_live and not now.live else None

    def _is_removed(self) -> bool:
        try:
            containers.resolve(self._store, self._container.id)
        except NotFound:
            return True
        return False

    def _died(self) -> int | None:
        """The exit code of an end since the waiting began."""
        for entry in self._reader.read():
            if entry["actor"] == self._container.id and entry["action"] == "die" and entry["time"] >= self._began:
                return int(entry["attributes"]["exitCode"])
        return None

    def _healthy(self, now: state.State) -> int | None:
        name = self._container.name
        if not now.live:
            raise Conflict(f"container {name} is not running", hint=f"start it: lxcwrap start {name}")
        if not now.health and now.status == "running":
            raise Conflict(f"container {name} has no health check", hint="see: lxcwrap run --health-cmd")
        return 0 if now.health == "healthy" else None
