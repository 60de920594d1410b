"""``run``: find or pull the image, create, start, attach, and with ``--rm`` remove."""

from __future__ import annotations

import os
from collections.abc import Callable

from lxcwrap.actions import images, ports, start
from lxcwrap.actions.finish import finish
from lxcwrap.errors import Conflict, LxcwrapError, NotFound, UsageError
from lxcwrap.model.image import Platform
from lxcwrap.runtime import frames
from lxcwrap.runtime.attach import Attachment
from lxcwrap.runtime.spawn import Channel, Ended
from lxcwrap.store import volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

PULL = ("always", "missing", "never")


def image(store: Store, text: str, policy: str, pull: Callable[[], Image], platform: Platform | None = None) -> Image:
    """The image by the ``--pull`` policy; one of another platform does not count.

    Raises NotFound, or what ``pull`` raises.
    """
    if policy not in PULL:
        raise UsageError(f"--pull {policy!r:.20}: choose {', '.join(PULL)}")
    found = None if policy == "always" else images.find(store, text)
    if found and not (platform and not Platform.parse(found.platform).matches(platform)):
        return found
    if policy == "never":
        raise NotFound(f"no such image: {text}", hint="see: lxcwrap images")
    return pull()


def write_cidfile(path: str, container_id: str) -> None:
    """Raises Conflict when the file exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise _cidfile_taken(path) from None
    with open(descriptor, "w", encoding="ascii") as stream:
        stream.write(container_id)


def check_cidfile(path: str) -> None:
    """Before anything is made.  Raises Conflict."""
    if path and os.path.lexists(path):
        raise _cidfile_taken(path)


def _cidfile_taken(path: str) -> Conflict:
    return Conflict(f"the --cidfile {path} exists already", hint="remove it or name another", exit_code=125)


def background(store: Store, container: Container, supervisor: int | None) -> None:
    """Start and leave.  Raises RuntimeFailure; with ``--rm`` nothing is left then."""
    channel = _launch(store, container, supervisor)
    try:
        channel.wait_started()
        started(store, container)
    except LxcwrapError:
        finish(store, container)
        raise
    finally:
        channel.close()


def foreground(
    store: Store,
    container: Container,
    supervisor: int | None,
    *,
    keys: bytes,
    proxy: bool,
    streams: tuple[str, ...],
) -> Ended | None:
    """Start, attach, follow to the end; None when the user detached.  Raises RuntimeFailure."""
    channel = _launch(store, container, supervisor)
    config = container.config
    attachment = Attachment(
        channel,
        tty=config.tty,
        stdin=config.interactive and (not streams or "stdin" in streams),
        stdout=not streams or "stdout" in streams,
        stderr=not streams or "stderr" in streams,
        keys=keys,
        proxy=proxy,
        started=lambda: started(store, container),
    )
    try:
        ended = attachment.run()
        if ended is not None:
            finish(store, container)
            done(channel)
        return ended
    except LxcwrapError:
        finish(store, container)
        raise
    finally:
        channel.close()


def _launch(store: Store, container: Container, supervisor: int | None) -> Channel:
    """As ``start.launch``; what fails exits with 125 and, with ``--rm``, leaves nothing."""
    try:
        return start.launch(store, container, supervisor)
    except LxcwrapError as error:
        finish(store, container)
        error.exit_code = 125
        raise
    except OSError as error:  # such as a directory to bind that cannot be made
        finish(store, container)
        raise LxcwrapError(f"{error.filename or 'the container'}: {error.strerror}", exit_code=125) from None


def done(channel: Channel) -> None:
    """Tell the supervisor that nothing is left to do."""
    try:
        channel.send(frames.DONE)
    except OSError:
        pass


def started(store: Store, container: Container) -> None:
    """It runs: from now on its new volumes keep what they have."""
    ports.settled(container.id)
    volumes.mark_filled(store, container.id)
