"""``attach`` and ``start -a``: a terminal (or pipes) for a container that runs, or is to."""

from __future__ import annotations

from lxcwrap.actions import run
from lxcwrap.errors import Conflict
from lxcwrap.runtime import connect, state
from lxcwrap.runtime.attach import Attachment
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store


def attach(store: Store, container: Container, *, stdin: bool, keys: bytes, proxy: bool = True) -> int | None:
    """Until the container ends (its exit code) or the user detaches (None).  Raises Conflict when it does not run."""
    known = state.read(store.paths, container.id)
    if known.status != "running":
        what = "is paused" if known.status == "paused" else "is not running"
        raise Conflict(f"container {container.name} {what}: it cannot be attached to")
    channel = connect.watch(store.paths, container.id, output=True)
    if not channel:
        raise Conflict(f"container {container.name} ended meanwhile")
    config = container.config
    attachment = Attachment(channel, tty=config.tty, stdin=stdin and config.interactive, keys=keys, proxy=proxy)
    try:
        ended = attachment.run()
        return ended.code if ended else None
    finally:
        channel.close()


def start(store: Store, container: Container, *, stdin: bool, keys: bytes) -> int | None:
    """Start it in the foreground; the exit code, 0 after detaching.  As ``attach`` when it runs already."""
    if state.read(store.paths, container.id).live:
        return attach(store, container, stdin=stdin, keys=keys)
    streams = ("stdin", "stdout", "stderr") if stdin else ("stdout", "stderr")
    ended = run.foreground(store, container, None, keys=keys, proxy=True, streams=streams)
    return ended.code if ended else 0
