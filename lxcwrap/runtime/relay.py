"""TCP ports published on ::1, passed on by the supervisor: for that address the kernel takes no answers from elsewhere.

Loaded into the supervisors of containers that have such ports.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxcwrap.runtime.session import Session

LOOPBACK = "::1"
_FULL = 1 << 18  # bytes waiting for one side at which the other is not listened to
_PIECE = 1 << 16
_GONE = select.POLLHUP | select.POLLERR
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing means breaking off


class Relay:
    """A listening socket; ``target`` is the container's address and port."""

    def __init__(self, session: Session, port: int, target: tuple[str, int], listener: int = -1) -> None:
        """``listener``: the descriptor of a socket that listens there already."""
        self.port, self.target = port, target
        self._session = session
        self.talks: set[_Talk] = set()
        self._socket = socket.socket(fileno=listener) if listener >= 0 else _listening(port)
        self._socket.setblocking(False)
        session.watch(self._socket.fileno(), self._accept)

    @property
    def listener(self) -> int:
        return self._socket.fileno()

    def _accept(self, events: int) -> None:
        try:
            client, _ = self._socket.accept()
        except OSError:  # it went away again, or there are no descriptors left
            return
        self.talks.add(_Talk(self._session, self, client, self.target))

    def close(self) -> None:
        """No more of it; what is being said is broken off."""
        for talk in list(self.talks):
            talk.close()
        self._session.unwatch(self._socket.fileno())
        self._socket.close()

    def retire(self) -> None:
        """Who comes from now on comes to another; what is being said is said to its end."""
        self._session.unwatch(self._socket.fileno())
        self._socket.close()
        self.port = 0

    def leave(self) -> None:
        """In a forked child: let go of the descriptors, and of nothing else."""
        for talk in self.talks:
            talk.leave()
        self._socket.close()


def _listening(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((LOOPBACK, port))
    except OSError as error:
        made.close()
        raise OSError(error.errno, error.strerror, f"port [{LOOPBACK}]:{port}") from None
    made.listen(128)
    return made


class _Side:
    """One of the two sockets of a conversation."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.waiting = bytearray()  # to be sent
        self.heard_all = False
        self.told_all = False
        self.gone = False  # closed from there, both ways
        self.mask = 0


class _Talk:
    """What a client and the container say to each other."""

    def __init__(self, session: Session, relay: Relay, client: socket.socket, target: tuple[str, int]) -> None:
        self._session, self._relay = session, relay
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM)
        self._sides = (_Side(client), _Side(server))
        server.connect_ex(target)
        self._connecting = True
        for here, there in (self._sides, self._sides[::-1]):
            session.watch(here.socket.fileno(), self._handler(here, there))
        self._listen()

    def _handler(self, here: _Side, there: _Side) -> Callable[[int], None]:
        return lambda events: self._happened(here, there, events)

    def _happened(self, here: _Side, there: _Side, events: int) -> None:
        try:
            if here is self._sides[1] and self._connecting and events & (select.POLLOUT | _GONE):
                failure = here.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failure:
                    raise OSError(failure, "")
                self._connecting = False
            if events & select.POLLOUT:
                self._send(here)
            if events & (select.POLLIN | _GONE):
                if here.heard_all and events & _GONE:
                    self._forget(here)
                self._hear(here, there)
        except OSError:
            self.close()
            return
        if all(side.told_all for side in self._sides):
            self.close()
        else:
            self._listen()

    def _forget(self, side: _Side) -> None:
        """It would be reported for ever.  What it said may still be on its way to the other."""
        if side.waiting:
            raise BrokenPipeError
        side.gone = True
        self._session.unwatch(side.socket.fileno())

    def _hear(self, here: _Side, there: _Side) -> None:
        if here.heard_all:
            return
        try:
            received = here.socket.recv(_PIECE)
        except BlockingIOError:
            return
        here.heard_all = not received
        there.waiting += received
        if there is not self._sides[1] or not self._connecting:
            self._send(there)

    def _send(self, side: _Side) -> None:
        other = self._sides[0] if side is self._sides[1] else self._sides[1]
        try:
            while side.waiting:
                del side.waiting[: side.socket.send(side.waiting[:_PIECE])]
        except BlockingIOError:
            return
        if other.heard_all and not side.told_all:
            side.socket.shutdown(socket.SHUT_WR)
            side.told_all = True

    def _listen(self) -> None:
        """Wait for what can go on."""
        for here, there in (self._sides, self._sides[::-1]):
            if here.gone:
                continue
            mask = 0 if here.heard_all or len(there.waiting) >= _FULL else select.POLLIN
            if here.waiting or (self._connecting and here is self._sides[1]):
                mask |= select.POLLOUT
            if mask != here.mask or not mask:
                self._session.poll.modify(here.socket.fileno(), mask)
                here.mask = mask

    def close(self) -> None:
        finished = all(side.told_all for side in self._sides)
        for side in self._sides:
            self._session.unwatch(side.socket.fileno())
            if not finished:
                side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            side.socket.close()
        self._relay.talks.discard(self)

    def leave(self) -> None:
        for side in self._sides:
            side.socket.close()


def change(session: Session, wanted: list[Any]) -> None:
    """Make the session's relays those of (port here, address, port there).  Raises OSError for a port that is taken."""
    targets = {port: (address, there) for port, address, there in wanted}
    for one in list(session.relays):
        if one.port in targets:
            one.target = targets.pop(one.port)  # for those who come from now on
        elif one.port:
            one.close()
            session.relays.remove(one)
    for port, target in targets.items():
        session.relays.append(Relay(session, port, target))
