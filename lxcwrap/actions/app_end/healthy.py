"""Whether a container that has just been started is fit to serve."""

from __future__ import annotations

import time

from lxcwrap.actions import logs
from lxcwrap.runtime import state
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

LINES = 20  # of its log, told when it is not
_LOOK = 0.02  # seconds between two looks


def wait(store: Store, container: Container, timeout: float, monitor: float) -> dict[str, object] | None:
    """Wait until its health check says so, or until it has been up for ``monitor`` seconds if it has none.

    None once it is; otherwise why not, its exit code and its last lines.
    """
    first = state.read(store.paths, container.id)
    deadline = time.monotonic() + timeout
    while True:
        now = state.read(store.paths, container.id)
        reason = _failure(store, container, first, now)
        if not reason and _is_fit(now, monitor):
            return None
        if not reason and time.monotonic() >= deadline:
            reason = f"it was not healthy after {timeout:g} s" if now.health else f"it was not up for {monitor:g} s"
        if reason:
            lines = logs.last_lines(store, container, LINES)
            return {"reason": reason, "exit_code": now.exit_code, "logs": lines}
        time.sleep(_LOOK)


def _is_fit(now: state.State, monitor: float) -> bool:
    if now.status != "running":
        return False
    return now.health == "healthy" if now.health else time.time() - now.started_at >= monitor


def _failure(store: Store, container: Container, first: state.State, now: state.State) -> str:
    """Why it will not do; '' while it may."""
    if now.status == "created":
        return "it was not started"
    if not now.live or now.status == "restarting" or now.restart_count > first.restart_count:
        again = "" if not now.live else " and was started again"
        why = f": {now.error}" if now.error else ", out of memory" if now.oom_killed else ""
        return f"it ended with exit code {now.exit_code}{again}{why}"
    if now.health == "unhealthy":
        results = state.health_results(store.paths.container(container.id))["Log"]
        said = str(results[-1]["Output"]).strip().splitlines() if results else []
        return "its health check failed" + (f": {said[-1]:.200}" if said else "")
    return ""
