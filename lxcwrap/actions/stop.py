"""``stop``, ``kill`` and ``restart``: signals, and waiting for what they do."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lxcwrap.errors import Conflict, LxcwrapError, NotFound, RuntimeFailure, UsageError
from lxcwrap.model.paths import Paths
from lxcwrap.runtime import connect, frames, state
from lxcwrap.runtime.spawn import Channel
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_GRACE = 15.0  # seconds after SIGKILL


def signal_number(text: str) -> int:
    """``TERM``, ``SIGTERM``, ``15``, ``RTMIN+3``.  Raises UsageError."""
    name = text.upper().removeprefix("SIG")
    if name.isdigit() and 0 < int(name) <= 64:
        return int(name)
    base, plus, offset = name.partition("+")
    if base == "RTMIN" and (not plus or offset.isdigit()):
        return int(signal.SIGRTMIN) + int(offset or 0)
    try:
        return int(signal.Signals["SIG" + name])
    except KeyError:
        raise UsageError(f"invalid signal: {text!r:.40}", exit_code=1) from None


def stop(store: Store, container: Container, *, timeout: int | None = None, signal_name: str = "") -> None:
    """Ask the container to end, wait ``timeout`` seconds (-1: for ever), then kill it.  Nothing if it does not run."""
    channel = connect.watch(store.paths, container.id)
    if not channel:
        return
    number = signal_number(signal_name or container.config.stop_signal or "SIGTERM")
    patience = container.config.stop_timeout if timeout is None else timeout
    try:
        _send(channel, frames.STOPPING)
        _resume(store.paths, container, channel)
        _send(channel, frames.SIGNAL, str(number).encode())
        if not _wait_ended(channel, None if patience < 0 else float(patience)):
            _send(channel, frames.SIGNAL, str(int(signal.SIGKILL)).encode())
            if not _wait_ended(channel, _GRACE):
                raise _survivor(container)
    finally:
        channel.close()
    connect.wait_unsupervised(store.paths, container.id, _GRACE)
    store.event("container", "stop", container.id, container.attributes)


def _resume(paths: Paths, container: Container, channel: Channel) -> None:
    if state.read(paths, container.id).status == "paused":
        _send(channel, frames.PAUSE, frames.THAW)


def kill(store: Store, container: Container, signal_name: str = "KILL") -> None:
    """Send a signal.  Raises Conflict when the container does not run."""
    number = signal_number(signal_name)
    channel = connect.connect(store.paths, container.id)
    if not channel or not state.read(store.paths, container.id).live:
        raise Conflict(f"container {container.name} is not running")
    try:
        if number in (signal.SIGKILL, signal_number(container.config.stop_signal or "SIGTERM")):
            _send(channel, frames.STOPPING)
        _send(channel, frames.SIGNAL, str(number).encode())
        if number == signal.SIGKILL:
            _send(channel, frames.ATTACH, b'{"output": false}')
            if not _wait_ended(channel, _GRACE):
                raise _survivor(container)
    finally:
        channel.close()


def _survivor(container: Container) -> LxcwrapError:
    return LxcwrapError(f"container {container.name} did not end within {_GRACE:.0f} s of SIGKILL")


def kill_and_wait(paths: Paths, container_id: str) -> None:
    """End a container at once, whatever it or its supervisor does, and wait until it is gone."""
    try:
        channel = connect.watch(paths, container_id)
    except connect.SupervisorStopped as error:
        os.kill(error.pid, signal.SIGKILL)  # and the container goes with it
        return
    if not channel:
        return
    try:
        _send(channel, frames.STOPPING)
        _send(channel, frames.SIGNAL, str(int(signal.SIGKILL)).encode())
        _wait_ended(channel, _GRACE)
    finally:
        channel.close()


def _send(channel: Channel, kind: bytes, payload: bytes = b"") -> None:
    try:
        channel.send(kind, payload)
    except OSError:  # it ended meanwhile
        pass


def _wait_ended(channel: Channel, seconds: float | None) -> bool:
    """Whether the container ended within ``seconds``."""
    limit = None if seconds is None else time.monotonic() + seconds
    decoder = frames.Decoder()
    while True:
        left = None if limit is None else max(0.0, limit - time.monotonic())
        if not select.select([channel.descriptor], [], [], left)[0]:
            return False
        received = os.read(channel.descriptor, 1 << 16)
        if not received or any(kind in (frames.EXITED, frames.FAILED) for kind, _ in decoder.feed(received)):
            return True


def wait(store: Store, container: Container) -> int:
    """Wait until the container does not run; its exit code."""
    channel = connect.watch(store.paths, container.id)
    if channel:
        try:
            return channel.follow(lambda _: None, lambda _: None).code
        except RuntimeFailure as error:
            return error.exit_code
        finally:
            channel.close()
    return state.read(store.paths, container.id).exit_code


def pause(store: Store, container: Container, paused: bool) -> None:
    """Freeze or thaw.  Raises Conflict when it is not in the state for it."""
    channel = _reach(store, container, "running" if paused else "paused")
    try:
        _freeze(channel, container, frames.FREEZE if paused else frames.THAW)
    finally:
        channel.close()


@contextmanager
def frozen(store: Store, container: Container) -> Iterator[None]:
    """A running container stands still while inside, and no longer, however this process ends."""
    channel = _reach(store, container, "running")
    try:
        _freeze(channel, container, frames.FREEZE_FOR_ME)
        yield
        _freeze(channel, container, frames.THAW)
    finally:
        channel.close()


def _reach(store: Store, container: Container, status: str) -> Channel:
    known = state.read(store.paths, container.id)
    if known.status != status:
        raise Conflict(f"container {container.name} is {'not running' if not known.live else known.status}")
    channel = connect.connect(store.paths, container.id)
    if not channel:
        raise NotFound(f"container {container.name} has no supervisor any more")
    return channel


def _freeze(channel: Channel, container: Container, how: bytes) -> None:
    """Waits until it is done.  Raises LxcwrapError."""
    try:
        channel.send(frames.PAUSE, how)
        while True:
            received = frames.read_one(channel.descriptor)
            if received is None or received[0] == frames.PAUSED:
                break
    except OSError:  # it ended meanwhile
        received = None
    if received is None or b"true" not in received[1]:
        what = "thaw" if how == frames.THAW else "freeze"
        raise LxcwrapError(f"the kernel refused to {what} container {container.name}")
