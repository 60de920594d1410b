"""Tells the supervisors of two containers that one took over from the other."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping

from lxcwrap.actions import start
from lxcwrap.runtime import connect, frames, plans
from lxcwrap.runtime.spawn import Channel
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_AT_ONCE = 8  # descriptors that go along with one message


def tell(store: Store, new: Container, old: Container | None, hairpins: Mapping[str, str]) -> None:
    """Names for their events, what follows the new one's end, and ports on ::1.  Nothing for one that has ended."""
    relays = start.relays(store, new)
    giving = connect.connect(store.paths, old.id) if old else None
    taking = connect.connect(store.paths, new.id)
    try:
        if giving and taking:
            for at in range(0, len(relays), _AT_ONCE):
                _move(old, giving, new, taking, relays[at : at + _AT_ONCE])
        if taking:
            news = {"after": start.after(store, new), "relays": relays, "hairpins": dict(hairpins)}
            _ask(new, taking, {"take": news, "name": new.name})
        if giving and old:
            _ask(old, giving, {"retire": True, "name": old.name})
    finally:
        for channel in (giving, taking):
            if channel:
                channel.close()


def _move(
    old: Container | None, giving: Channel, new: Container, taking: Channel, relays: list[tuple[int, str, int]]
) -> None:
    """The sockets stay open at the old one, too, until it is told that it has retired."""
    assert old
    lent, descriptors = _ask(old, giving, {"lend": [port for port, _, _ in relays]})
    try:
        ports = [int(word) for word in lent.decode().split(",") if word.isdigit()]
        adopted = [relay for port in ports for relay in relays if relay[0] == port]
        if descriptors and len(descriptors) == len(adopted):
            _ask(new, taking, {"adopt": adopted}, descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _ask(
    container: Container, channel: Channel, wish: dict[str, object], descriptors: list[int] | None = None
) -> tuple[bytes, list[int]]:
    """What the supervisor answers, and the descriptors that it sends; nothing once it has ended.

    An older program's supervisor takes in what it knows: nothing of this.
    """
    known = {"restart": plans.restart_plan(container.config.restart), "items": {}}
    frame = frames.encode(frames.UPDATE, json.dumps({**known, "handover": wish}).encode())
    decoder, received = frames.Decoder(), []
    with socket.socket(fileno=os.dup(channel.descriptor)) as connection:
        try:
            sent = socket.send_fds(connection, [frame], descriptors or [])
            connection.sendall(frame[sent:])
            while piece := socket.recv_fds(connection, 1 << 16, _AT_ONCE, socket.MSG_CMSG_CLOEXEC):
                received += piece[1]
                for kind, payload in decoder.feed(piece[0]):
                    if kind == frames.UPDATED:
                        return payload, received
                if not piece[0]:
                    break
        except OSError:
            pass
    return b"", received
