"""A supervisor's program kept ready: it forks a supervisor for each connection that it is handed.

A build runs many short containers one after the other; this saves each of them the interpreter's start and all
imports.  The nursery ends when whoever started it goes away.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from lxcwrap.runtime.spawn import Channel

ARGUMENT = "nursery"


class Nursery:
    """The client's side.  Started by its first use; used by several threads.  ``sealed``: see ``spawn.start``."""

    def __init__(self, *, sealed: bool) -> None:
        self._sealed = sealed
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None

    @contextmanager
    def supervisor(self) -> Iterator[Channel]:
        """As ``spawn.supervisor``.  Raises RuntimeFailure."""
        from lxcwrap.runtime.spawn import Channel

        channel = Channel(self._bear())
        try:
            yield channel
        finally:
            channel.close()

    def start(self) -> None:
        """Begin to get ready, without waiting."""
        import socket

        from lxcwrap.runtime import spawn

        with self._lock:
            if self._connection is None:
                self._connection = socket.socket(fileno=spawn.start(ARGUMENT, sealed=self._sealed))

    def close(self) -> None:
        """No more supervisors are wanted."""
        if self._connection is not None:
            self._connection.shutdown(1)  # SHUT_WR

    def wait(self) -> None:
        """Until all supervisors have taken everything down and ended."""
        if self._connection is not None:
            self._connection.recv(1)
            self._connection.close()
            self._connection = None

    def _bear(self) -> int:
        import socket

        from lxcwrap.errors import RuntimeFailure

        self.start()
        ours, theirs = socket.socketpair()
        try:
            with self._lock:
                assert self._connection is not None
                socket.send_fds(self._connection, [b"+"], [theirs.fileno()])
        except OSError:
            ours.close()
            raise RuntimeFailure("the program that starts the steps' containers ended") from None
        finally:
            theirs.close()
        return ours.detach()


def serve(supervise: Callable[[], None]) -> None:
    """The program's side: a child with the connection as descriptor 0 for each that comes over descriptor 0."""
    import socket

    signal.signal(signal.SIGCHLD, lambda number, frame: _reap())
    connection = socket.socket(fileno=0)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        if not message:
            break
        for descriptor in descriptors:
            if os.fork() == 0:
                _be_supervisor(descriptor, supervise)
            os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


def _be_supervisor(descriptor: int, supervise: Callable[[], None]) -> None:
    """Never returns."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(descriptor, 0)
        os.close(descriptor)
        supervise()
    finally:
        os._exit(0)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
