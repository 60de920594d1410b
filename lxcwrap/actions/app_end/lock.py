"""An application's lock on this host: held by a process for as long as its standard input lasts."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from lxcwrap.errors import LxcwrapError, NotFound
from lxcwrap.kernel import holder, lock
from lxcwrap.model.names import check_name
from lxcwrap.model.paths import Paths

BUSY = 75  # EX_TEMPFAIL
_LOOK = 0.1  # seconds between two tries
_PATIENCE = 3.0  # seconds that a holder has to end


@dataclass(frozen=True)
class Holder:
    """``pid`` is the process that holds it here."""

    who: str = ""
    why: str = ""
    since: float = 0  # seconds since the epoch
    pid: int = 0
    stopped: bool = False  # by a signal: it does nothing until another lets it go on

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def path(paths: Paths, app: str) -> str:
    return f"{paths.run}/apps/{check_name(app, 'application')}/lock"


def find(paths: Paths, app: str) -> Holder | None:
    """Who holds it; None when nobody does."""
    place = path(paths, app)
    if not lock.is_held(place):
        return None
    try:
        with open(place, encoding="utf-8") as stream:
            known = json.load(stream)
        said = Holder(str(known["who"]), str(known["why"]), float(known["since"]), int(known["pid"]))
    except (OSError, ValueError, KeyError, TypeError):  # it has only just got it
        said = Holder()
    pid = next(iter(holder.of(place)), said.pid)
    return Holder(said.who, said.why, said.since, pid, holder.is_stopped(pid))


def hold(paths: Paths, app: str, who: str, why: str, *, wait: float, silence: float, say: Callable[[Any], None]) -> int:
    """Take it within ``wait`` seconds, say so, and keep it until standard input ends; the exit code.

    With ``silence`` it is given up, too, when so many seconds bring nothing on standard input.
    """
    place, deadline = path(paths, app), time.monotonic() + wait
    while True:
        try:
            descriptor = lock.take(place, wait=False)
            break
        except lock.Busy:
            left = deadline - time.monotonic()
            if left <= 0 or _ended(min(left, _LOOK)):
                found = find(paths, app) or Holder()
                say({"held": False, "holder": found.to_json()})
                return BUSY
    os.truncate(descriptor, 0)
    os.write(descriptor, json.dumps(Holder(who, why, time.time(), os.getpid()).to_json()).encode())
    say({"held": True})
    while not _ended(silence or None, silence_ends=bool(silence)):
        pass
    return 0


def _ended(seconds: float | None, *, silence_ends: bool = False) -> bool:
    """Wait for standard input to say something; whether it has ended."""
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    if not waiting.poll(None if seconds is None else seconds * 1000):
        return silence_ends
    try:
        return not os.read(0, 1 << 12)
    except OSError:
        return True


def release(paths: Paths, app: str) -> Holder:
    """End the process that holds it; who that was.  Raises NotFound, and LxcwrapError when it does not end."""
    found = find(paths, app)
    if not found:
        raise NotFound(f"nobody holds the lock of application {app} here")
    try:
        process = os.pidfd_open(found.pid)
    except ProcessLookupError:
        return found
    try:
        for number in (signal.SIGTERM, signal.SIGCONT):
            signal.pidfd_send_signal(process, number)
        if not _gone(process):
            signal.pidfd_send_signal(process, signal.SIGKILL)
            if not _gone(process):
                raise LxcwrapError(f"{holder.named(found.pid)}, which holds the lock of {app}, does not end")
    except ProcessLookupError:
        pass
    finally:
        os.close(process)
    return found


def _gone(process: int) -> bool:
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    return bool(waiting.poll(_PATIENCE * 1000))
