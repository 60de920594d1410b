"""A container takes over from another: what their supervisors do about it.

Loaded into supervisors when it happens.  Listening sockets on ::1 go from one to the other, so that nobody who
connects meanwhile is refused.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lxcwrap.runtime import frames, relay

if TYPE_CHECKING:
    from lxcwrap.runtime.client import Client
    from lxcwrap.runtime.session import Session


def happened(session: Session, client: Client, wish: dict[str, Any]) -> None:
    """``lend`` the sockets of some ports, ``adopt`` those that come along, ``take`` over, or ``retire``."""
    if "lend" in wish:
        lent = [one for one in session.relays if one.port and one.port in wish["lend"]]
        message = ",".join(str(one.port) for one in lent).encode()
        with suppress(OSError):  # who asked is gone
            socket.send_fds(client.socket, [frames.encode(frames.UPDATED, message)], [one.listener for one in lent])
        return
    if "adopt" in wish:
        _adopt(session, client, wish["adopt"])
    elif "take" in wish:
        _take(session, wish["take"])
    else:
        for one in session.relays:
            if one.port:
                one.retire()
    if "name" in wish:
        session.plan["events"]["attributes"]["name"] = wish["name"]
    session.clients.tell(client, frames.UPDATED, {})


def _adopt(session: Session, client: Client, wanted: list[Any]) -> None:
    descriptors, client.received_fds = client.received_fds, []
    known = {one.port for one in session.relays}
    for (port, address, there), descriptor in zip(wanted, descriptors, strict=True):
        if port in known:
            os.close(descriptor)
        else:
            session.relays.append(relay.Relay(session, port, (address, there), descriptor))


def _take(session: Session, wish: dict[str, Any]) -> None:
    session.plan["after"] = wish["after"]
    for one in (session.plan, session.started):
        known = {key for key, _ in one["items"]}
        one["items"] = [*one["items"], *_hairpins(one["items"], wish["hairpins"], known)]
    try:
        relay.change(session, wish["relays"])
    except OSError:  # somebody took it since: the container goes on without
        pass


def _hairpins(items: list[Any], wanted: dict[str, str], known: set[str]) -> list[list[str]]:
    """liblxc's items that let what is published be reached from inside, for the container's next start."""
    found = [
        [key.replace(".veth.pair", ".script.up"), wanted[value]]
        for key, value in items
        if key.endswith(".veth.pair") and value in wanted
    ]
    return [item for item in found if item[0] not in known]
