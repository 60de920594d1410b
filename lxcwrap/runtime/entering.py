"""More processes in a container that runs, each served by a child of its supervisor.

Loaded into a supervisor with the first of them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lxcwrap.runtime import frames

if TYPE_CHECKING:
    from lxcwrap.runtime.client import Client
    from lxcwrap.runtime.session import Session

_SIGKILL = 9


def execute(session: Session, client: Client, wish: dict[str, Any]) -> None:
    """Start one more process in the container, in a child that talks to the client from then on."""
    if not session.init_pid or session.status is not None or session.state["status"] == "paused":
        what = "is paused" if session.state["status"] == "paused" else "is not running"
        session.clients.tell(client, frames.FAILED, {"message": f"the container {what}", "code": 1})
        return
    identity = {"execID": os.urandom(32).hex()}
    for what in ("exec_create", "exec_start"):
        session.event(f"{what}: {' '.join(wish['argv'])}", **identity)
    try:
        enter(session, wish, client.descriptor, client.received_fds, identity)
    except OSError as error:
        session.clients.tell(client, frames.FAILED, {"message": f"no process for it: {error.strerror}", "code": 126})
        return
    session.clients.hand_over(client)


def enter(
    session: Session, wish: dict[str, Any], channel: int, stdio: list[int], identity: dict[str, str] | None = None
) -> int:
    """Fork a child that starts one more process in the container and reports to ``channel``; the child's pid.

    ``identity``: what the event of its end says besides; None for an end that is not told.
    """
    from lxcwrap.runtime import execute as execution  # once, for this and those that follow

    code = 125
    child = os.fork()
    if child:
        _watch(session, child, identity)
        return child
    try:
        channel, stdio = os.dup(channel), [os.dup(descriptor) for descriptor in stdio]
        session.leave()
        code = execution.serve(session.plan, session.init_pid, wish, channel, stdio)
    finally:
        os._exit(code)


def _watch(session: Session, child: int, identity: dict[str, str] | None) -> None:
    """Reap a child that serves an exec when it ends.  It has entered the container: what is told, is told here."""

    def ended(events: int) -> None:
        session.unwatch(descriptor)
        os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if identity:
            session.event("exec_die", exitCode=str(code if code >= 0 else 137), **identity)

    try:
        descriptor = os.pidfd_open(child)
    except OSError:
        os.kill(child, _SIGKILL)
        os.waitpid(child, 0)
        raise
    session.watch(descriptor, ended)
