"""Reach the supervisor of a container that was started earlier, by anybody."""

from __future__ import annotations

import json
import os
import socket
import struct

from lxcwrap.errors import Conflict, RuntimeFailure
from lxcwrap.kernel import holder
from lxcwrap.model.paths import Paths
from lxcwrap.runtime import frames, state
from lxcwrap.runtime.spawn import Channel


class SupervisorStopped(RuntimeFailure):
    """A signal stopped the supervisor: it would not answer."""

    def __init__(self, container_id: str, pid: int) -> None:
        hint = f"kill -CONT {pid} lets it go on; lxcwrap rm -f ends it with the container"
        message = f"the supervisor of container {container_id[:12]} (process {pid}) is stopped"
        super().__init__(message, hint=hint, exit_code=1)
        self.pid = pid


def connect(paths: Paths, container_id: str) -> Channel | None:
    """A channel to the container's supervisor; None when there is none.  Raises SupervisorStopped."""
    try:
        directory = os.open(paths.container_run(container_id), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{directory}/socket")
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    finally:
        os.close(directory)
    pid, _, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if holder.is_stopped(pid):
        connection.close()
        raise SupervisorStopped(container_id, pid)
    return Channel(connection.detach())


def watch(paths: Paths, container_id: str, *, output: bool = False) -> Channel | None:
    """As ``connect``, and told of the container's end (and its output) from now on."""
    channel = connect(paths, container_id)
    if channel:
        try:
            channel.send(frames.ATTACH, json.dumps({"output": output}).encode())
        except OSError:
            channel.close()
            return None
    return channel


def held(paths: Paths, container_id: str, name: str) -> Conflict:
    """What to say when a supervisor does not let go of a container."""
    holders = holder.of(f"{paths.container_run(container_id)}/lock")
    others = ", ".join(map(holder.named, holders)) or "another lxcwrap process"
    return Conflict(f"container {name} is held by {others}", exit_code=1)


def wait_unsupervised(paths: Paths, container_id: str, seconds: float) -> bool:
    """Wait until no supervisor holds the container; False if one still does after ``seconds``."""
    import time

    limit = time.monotonic() + seconds
    while state.supervised(paths, container_id):
        if time.monotonic() > limit:
            return False
        time.sleep(0.003)
    return True
