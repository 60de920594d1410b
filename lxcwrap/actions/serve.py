"""``system serve``: one container as a service of systemd's (Type=notify), in the foreground."""

from __future__ import annotations

import os
import signal
import socket
from types import FrameType

from lxcwrap.actions import start, stop, wait
from lxcwrap.errors import Conflict
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store


class _Asked(BaseException):
    """Somebody wants the service to end."""


def serve(store: Store, container: Container) -> int:
    """Start it, say when it is ready, and wait; its exit code, or 0 when it was asked to stop."""

    def asked(number: int, frame: FrameType | None) -> None:
        raise _Asked

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)
    try:
        start.start(store, container)
        if container.config.health.test not in ((), ("NONE",)):
            notify("STATUS=waiting for the health check")
            try:
                wait.wait(store, container, "healthy")
            except Conflict:  # it has ended: its exit code tells
                return stop.wait(store, container)
        notify("READY=1\nSTATUS=running")
        return stop.wait(store, container)
    except _Asked:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        notify("STOPPING=1")
        stop.stop(store, container)
        return 0


def notify(message: str) -> None:
    """sd_notify(3); nothing outside a service."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:  # systemd will say that it heard nothing
            pass
