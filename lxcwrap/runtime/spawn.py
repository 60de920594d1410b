"""Start a supervisor and talk to it: the client's side of ``runtime/supervisor.py``."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from lxcwrap.errors import RuntimeFailure
from lxcwrap.runtime import frames, lxc

_spawned: set[int] = set()  # supervisors that have not been reaped yet
_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")


class Ended(NamedTuple):
    """How a container ended; ``code`` is 128 plus the signal for one that was killed."""

    code: int
    oom_killed: bool


class Channel:
    """A connection to a supervisor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Raises OSError when the supervisor is gone."""
        frames.write(self.descriptor, kind, payload)

    def send_plan(self, plan: dict[str, Any]) -> None:
        """Tell a fresh supervisor what to do."""
        try:
            self.send(frames.PLAN, json.dumps(plan).encode())
        except OSError:
            raise RuntimeFailure("the container's supervisor ended before it was told what to do") from None

    def wait_started(self) -> int:
        """The host's pid of the container's init.  Raises RuntimeFailure when it does not start."""
        while True:
            kind, message = self._next()
            if kind == frames.STARTED:
                return int(message["pid"])
            if kind == frames.EXITED:
                return 0

    def follow(self, output: Callable[[bytes], None], error: Callable[[bytes], None]) -> Ended:
        """Pass output on until the container ends.  Raises RuntimeFailure when it does not start."""
        while True:
            kind, message = self._next(output, error)
            if kind == frames.EXITED:
                return Ended(message["exit_code"], message["oom_killed"])

    def _next(
        self, output: Callable[[bytes], None] | None = None, error: Callable[[bytes], None] | None = None
    ) -> tuple[bytes, dict[str, Any]]:
        while True:
            try:
                received = frames.read_one(self.descriptor)
            except (OSError, ValueError):
                received = None
            if received is None:
                raise RuntimeFailure("the container's supervisor was killed", exit_code=137)
            kind, payload = received
            if kind == frames.OUTPUT and output:
                output(payload)
            elif kind == frames.ERROR and error:
                error(payload)
            elif kind == frames.FAILED:
                raise failure(json.loads(payload))
            elif kind not in (frames.OUTPUT, frames.ERROR):
                return kind, json.loads(payload)

    def kill(self) -> None:
        """Kill the container's init; nothing happens when it is over already."""
        try:
            self.send(frames.SIGNAL, b"9")
        except OSError:
            pass

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def failure(message: dict[str, Any]) -> RuntimeFailure:
    """The error that a supervisor reported."""
    return RuntimeFailure(f"cannot start the container: {message['message']}", exit_code=message["code"])


@contextmanager
def supervisor(*, sealed: bool) -> Iterator[Channel]:
    """A supervisor that waits for its plan.  It ends by itself when nobody sends one."""
    channel = Channel(start(sealed=sealed))
    try:
        yield channel
    finally:
        channel.close()


def start(*arguments: str, sealed: bool) -> int:
    """Spawn a supervisor in a session of its own; the descriptor of the connection to it.

    ``sealed``: liblxc has it run from a sealed copy of the interpreter in memory (6 MB).  Needed where the
    container's root is the host's: a process that is about to become the container's first is still the
    interpreter, and the container could write to that through /proc (the CVE-2019-5736 class).  In a user
    namespace it could not: the file is not its own.
    """
    _reap()
    ours, theirs = socket.socketpair()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", _PROGRAM, lxc.directory(), *arguments],
            {"LXC_MEMFD_REXEC": "1"} if sealed else {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, null, 1),
                (os.POSIX_SPAWN_DUP2, 2 if os.environ.get("LXCWRAP_DEBUG") else null, 2),
            ],
            setsid=True,
            setsigdef=range(1, 32),
        )
        _spawned.add(pid)
    finally:
        os.close(null)
        theirs.close()
    return ours.detach()


def _reap() -> None:
    """A process that starts many supervisors, one after the other, keeps no dead ones."""
    for pid in list(_spawned):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                _spawned.discard(pid)
        except ChildProcessError:
            _spawned.discard(pid)
