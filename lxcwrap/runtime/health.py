"""The health check of one container: when it is due, what came of it, what follows.

Loaded into the supervisors of containers that have a check.  The check is an exec like any other, in a forked child;
the supervisor's loop asks for ``due`` and calls ``tick`` then.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from lxcwrap.runtime import entering, frames
from lxcwrap.runtime.logfile import timestamp

if TYPE_CHECKING:
    from lxcwrap.runtime.session import Session

NAME = "health.json"
STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
_OUTPUT_LIMIT = 4096  # bytes of a result's output that are kept
_KEPT = 5  # results
_NEVER = float("inf")
_PIECE = 1 << 16


class Verdict:
    """The state that results lead to; Docker's rules.  Pure."""

    def __init__(self, retries: int, start_period: float) -> None:
        self._retries, self._start_period = retries, start_period
        self.status, self.streak = STARTING, 0

    def starting(self, running_for: float) -> bool:
        """Whether failures do not count yet."""
        return self.status == STARTING and running_for < self._start_period

    def take(self, exit_code: int, running_for: float) -> bool:
        """Count a result; whether the status changed."""
        before = self.status
        if exit_code == 0:
            self.status, self.streak = HEALTHY, 0
        elif not self.starting(running_for):
            self.streak += 1
            if self.streak >= self._retries:
                self.status = UNHEALTHY
        return self.status != before


class Health:
    """The checks of one run of the container; ``due``: the monotonic time at which ``tick`` wants to be called."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._plan: dict[str, Any] = session.plan["health"]
        self._verdict = Verdict(self._plan["retries"], self._plan["start_period"])
        self._log: list[dict[str, Any]] = []
        self._probe: _Probe | None = None
        self._began = time.monotonic()
        self._plan_next()
        self._save()
        session.state["health"] = STARTING

    def _plan_next(self) -> None:
        starting = self._verdict.starting(time.monotonic() - self._began)
        self.due = time.monotonic() + self._plan["start_interval" if starting else "interval"]

    def tick(self) -> None:
        """A check is to begin, or the one that runs has taken too long."""
        if self._session.state["status"] == "paused":  # nothing in it runs, nothing in it can be killed
            self.due = time.monotonic() + 1
        elif self._probe:
            self._probe.kill()
            self.due = _NEVER
        else:
            self._begin()

    def _begin(self) -> None:
        try:
            self._probe = _Probe(self._session, self._plan["argv"], self._ended)
        except OSError as error:  # no process or descriptor left: as good as a failed check
            self._take(-1, f"the check could not be started: {error.strerror}", time.time_ns())
            return
        self.due = time.monotonic() + self._plan["timeout"]

    def _ended(self, exit_code: int, output: str) -> None:
        probe, self._probe = self._probe, None
        assert probe
        if probe.killed:
            exit_code, output = -1, f"Health check exceeded timeout ({self._plan['timeout']:g}s): {output}"
        self._take(exit_code, output, probe.began)

    def _take(self, exit_code: int, output: str, began: int) -> None:
        result = {"Start": timestamp(began), "End": timestamp(time.time_ns()), "ExitCode": exit_code, "Output": output}
        self._log = [*self._log, result][-_KEPT:]
        changed = self._verdict.take(exit_code, time.monotonic() - self._began)
        self._plan_next()
        self._save()
        if changed:
            self._session.health_changed(self._verdict.status, self._plan["on_failure"])

    def _save(self) -> None:
        """The results, in a file of their own: ``ps`` reads state.json of every container."""
        path = f"{self._session.plan['directory']}/{NAME}"
        try:
            with open(path + ".new", "w", encoding="utf-8") as stream:
                json.dump({"FailingStreak": self._verdict.streak, "Log": self._log}, stream)
            os.rename(path + ".new", path)
        except OSError:  # a full disk loses a result, not the container
            pass

    def close(self) -> None:
        """The container has ended, and with it what ran in it."""
        self.due = _NEVER
        if self._probe:
            self._probe.close()
            self._probe = None


class _Probe:
    """One check that runs."""

    def __init__(self, session: Session, argv: list[str], ended: Any) -> None:
        self._session, self._ended = session, ended
        self.began = time.time_ns()
        self.killed = False
        self._output = bytearray()
        self._cut = False
        self._decoder = frames.Decoder()
        self._channel, theirs = socket.socketpair()
        self._reading, writing = os.pipe()
        stdio = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), writing, os.dup(writing)]
        wish = {"argv": argv, "env": [], "working_dir": "", "user": "", "tty": False, "privileged": False}
        try:
            self._helper = entering.enter(session, wish, theirs.fileno(), stdio)
        except OSError:
            self._channel.close()
            os.close(self._reading)
            raise
        finally:
            theirs.close()
            for descriptor in stdio:
                os.close(descriptor)
        for descriptor in (self._reading, self._channel.fileno()):
            os.set_blocking(descriptor, False)
        session.watch(self._reading, lambda _: self._printed())
        session.watch(self._channel.fileno(), lambda _: self._heard())

    def _printed(self) -> None:
        if not self._read():
            self._session.unwatch(self._reading)

    def _read(self) -> bool:
        """Take what the check printed; False at the end."""
        try:
            content = os.read(self._reading, _PIECE)
        except BlockingIOError:
            return True
        room = _OUTPUT_LIMIT - len(self._output)
        self._output += content[:room]
        self._cut = self._cut or len(content) > room
        return bool(content)

    def _heard(self) -> None:
        try:
            received = self._channel.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        for kind, payload in self._decoder.feed(received):
            message = json.loads(payload)
            if kind == frames.EXITED:
                self._end(message["exit_code"], "")
                return
            if kind == frames.FAILED:
                self._end(message["code"], message["message"])
                return
        if not received:
            self._end(137, "the check was killed")

    def _end(self, exit_code: int, reason: str) -> None:
        self._read()
        output = self._output.decode(errors="replace") + ("..." if self._cut else "")
        self.close()
        self._ended(exit_code, reason or output)

    def kill(self) -> None:
        """With everything that it started, but for what left its session and its parent."""
        self.killed = True
        for _ in range(10):
            found = _tree(self._helper)
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if not found:
                break

    def close(self) -> None:
        for descriptor in (self._reading, self._channel.fileno()):
            self._session.unwatch(descriptor)
        os.close(self._reading)
        self._channel.close()


def _tree(top: int) -> list[int]:
    """The descendants of a process, and all of the sessions that its children lead; without the dead."""
    parents: dict[int, int] = {}
    sessions: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:
                    fields = stream.read().rpartition(b")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if fields[0] not in (b"Z", b"X"):
                parents[int(name)], sessions[int(name)] = int(fields[1]), int(fields[3])
    leaders = {pid for pid, parent in parents.items() if parent == top}
    found = {pid for pid, session in sessions.items() if session in leaders} | leaders
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)
