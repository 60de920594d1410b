"""The supervisor's side of its clients: whoever started it, attaches, stops or waits.  Loaded into supervisors."""

from __future__ import annotations

import json
import os
import select
import socket
from typing import TYPE_CHECKING, Any

from lxcwrap.runtime import frames

if TYPE_CHECKING:
    from lxcwrap.runtime.session import Session

FULL = 1 << 20  # bytes waiting for one client at which the container's output is held back


class Client:
    """One connection."""

    def __init__(self, descriptor: int, attached: bool) -> None:
        self.descriptor = descriptor
        self.socket = socket.socket(fileno=descriptor)
        self.received_fds: list[int] = []
        self.attached = attached  # wants output
        self.decoder = frames.Decoder()
        self.waiting = bytearray()
        self.done = False
        self.froze = False  # the container stands still until this client leaves


class Clients:
    """All connections of one supervisor."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._all: dict[int, Client] = {}
        self._listener: socket.socket | None = None
        self._last: dict[bytes, bytes] = {}  # what a late client has to be told

    def listen(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
        self._listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")  # paths of sockets are short
        os.close(directory)
        self._listener.listen(64)
        self._session.watch(self._listener.fileno(), self._accept)

    def _accept(self, events: int) -> None:
        assert self._listener
        connection, _ = self._listener.accept()
        self.add(connection.detach(), attached=False)

    def add(self, descriptor: int, *, attached: bool) -> Client:
        os.set_blocking(descriptor, False)
        client = self._all[descriptor] = Client(descriptor, attached)
        self._session.watch(descriptor, lambda events: self._ready(client, events))
        return client

    def attach(self, client: Client, wishes: dict[str, Any]) -> None:
        """The client wants to see (``output``) and be told of what happens from now on."""
        client.attached = bool(wishes.get("output"))
        for kind, payload in self._last.items():
            self._send(client, frames.encode(kind, payload))

    def _ready(self, client: Client, events: int) -> None:
        if events & select.POLLOUT:
            self._flush(client)
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._receive(client)

    def _receive(self, client: Client) -> None:
        try:
            received, descriptors, _, _ = socket.recv_fds(client.socket, 1 << 16, 8, socket.MSG_CMSG_CLOEXEC)
            client.received_fds += descriptors
            complete = client.decoder.feed(received)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            received, complete = b"", []
        for kind, payload in complete:
            if kind == frames.DONE:
                client.done = True
            else:
                self._session.received(client, kind, payload)
        if not received:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        if self._all.pop(client.descriptor, None):
            self._session.unwatch(client.descriptor)
            client.socket.close()
            for descriptor in client.received_fds:
                os.close(descriptor)
            if client is self._session.first:
                self._session.streams.owner_left()
            self._session.streams.held_back(self.full)
            if client.froze and self._session.state["status"] == "paused":
                self._session.received(client, frames.PAUSE, frames.THAW)

    def knows(self, client: Client) -> bool:
        """Whether the client is still there."""
        return self._all.get(client.descriptor) is client

    def hand_over(self, client: Client) -> None:
        """Somebody else (a forked child) talks to the client from now on."""
        self._drop(client)

    def close_all(self) -> None:
        """In a forked child: none of this is its business."""
        for client in self._all.values():
            client.socket.close()
        if self._listener:
            self._listener.close()

    @property
    def full(self) -> bool:
        return any(len(client.waiting) > FULL for client in self._all.values())

    def output(self, kind: bytes, content: bytes) -> None:
        """Pass the container's output to all who are attached."""
        frame = frames.encode(kind, content)
        for client in list(self._all.values()):
            if client.attached:
                self._send(client, frame)

    def announce(self, kind: bytes, message: dict[str, Any]) -> None:
        """Tell everybody, also those who attach later."""
        payload = json.dumps(message).encode()
        self._last = {kind: payload}
        for client in list(self._all.values()):
            self._send(client, frames.encode(kind, payload))

    def announce_health(self, status: str) -> None:
        """Tell those who are there; who comes later reads it in state.json."""
        frame = frames.encode(frames.HEALTH, json.dumps({"status": status}).encode())
        for client in list(self._all.values()):
            self._send(client, frame)

    def tell(self, client: Client, kind: bytes, message: dict[str, Any]) -> None:
        """Answer one client."""
        self._send(client, frames.encode(kind, json.dumps(message).encode()))

    def _send(self, client: Client, frame: bytes) -> None:
        client.waiting += frame
        self._flush(client)

    def _flush(self, client: Client) -> None:
        try:
            while client.waiting:
                del client.waiting[: os.write(client.descriptor, client.waiting[: 1 << 16])]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        waiting = select.POLLOUT if client.waiting else 0
        self._session.poll.modify(client.descriptor, select.POLLIN | waiting)
        self._session.streams.held_back(self.full)

    def wait_done(self, client: Client) -> bool:
        """Whether the client says DONE before it leaves; everybody's last frames are delivered meanwhile."""
        os.set_blocking(client.descriptor, True) if client.descriptor in self._all else None
        while client.descriptor in self._all and not client.done:
            self._flush(client)
            self._receive(client)
        return client.done
