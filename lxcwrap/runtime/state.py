"""What a container is doing, read from its supervisor's lock and its state.json.  Cheap: ``ps`` asks for each."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from lxcwrap.kernel import lock
from lxcwrap.model.paths import Paths

KILLED = 137  # what a container gets whose supervisor was killed: everything of it was


class State(NamedTuple):
    """``status``: created, running, paused, restarting, exited or dead.  Times: seconds since the epoch, 0: never."""

    status: str = "created"
    pid: int = 0  # of the init, on the host; 0 when it does not run
    exit_code: int = 0
    error: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    oom_killed: bool = False
    restart_count: int = 0
    health: str = ""  # starting, healthy, unhealthy; '' without a health check
    supervisor: int = 0
    log_end: str = ""  # which line in journald is its last; '' with other logs
    killed: bool = False  # its supervisor went without a word, and nobody cleared up after it yet

    @property
    def live(self) -> bool:
        return self.status in ("running", "paused", "restarting")


def read(paths: Paths, container_id: str) -> State:
    """The state of one container; one whose supervisor is gone without a word was killed."""
    known = _load(f"{paths.container(container_id)}/state.json")
    if not known:
        return State()
    state = State(**{name: value for name, value in known.items() if name in State._fields})
    if state.live and not supervised(paths, container_id):
        finished = state.finished_at or _modified(paths, container_id)
        killed = not known.get("cleared")
        return state._replace(
            status="exited", pid=0, exit_code=KILLED, finished_at=finished, supervisor=0, killed=killed
        )
    return state


def set_cleared(paths: Paths, container_id: str) -> None:
    """What a supervisor left that was killed is gone; ``was_live`` stays.  Nobody may start the container meanwhile."""
    from lxcwrap.kernel.files import write_atomically

    path = f"{paths.container(container_id)}/state.json"
    finished = read(paths, container_id).finished_at
    write_atomically(path, json.dumps({**_load(path), "finished_at": finished, "cleared": True}).encode())


def was_live(paths: Paths, container_id: str) -> bool:
    """Whether its last supervisor went without a word, as at a power cut."""
    return State(status=str(_load(f"{paths.container(container_id)}/state.json").get("status", ""))).live


def health_results(directory: str) -> dict[str, Any]:
    """``FailingStreak`` and ``Log`` of the container's health check."""
    return {"FailingStreak": 0, "Log": [], **_load(f"{directory}/health.json")}


def supervised(paths: Paths, container_id: str) -> bool:
    """Whether a supervisor holds the container."""
    return lock.is_held(f"{paths.container_run(container_id)}/lock")


def socket_path(paths: Paths, container_id: str) -> str:
    return f"{paths.container_run(container_id)}/socket"


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            loaded = json.load(stream)
    except (FileNotFoundError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _modified(paths: Paths, container_id: str) -> float:
    """About when a supervisor that was killed was last alive: its lock is the last thing it touched."""
    try:
        return os.stat(f"{paths.container_run(container_id)}/lock").st_mtime
    except FileNotFoundError:
        return 0.0
