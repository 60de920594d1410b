"""Reach the supervisor of a container that was started earlier, by anybody."""

from __future__ import annotations

import json
import os
import socket

from lxcwrap.model.paths import Paths
from lxcwrap.runtime import frames, state
from lxcwrap.runtime.spawn import Channel


def connect(paths: Paths, container_id: str) -> Channel | None:
    """A channel to the container's supervisor; None when there is none."""
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


def wait_unsupervised(paths: Paths, container_id: str, seconds: float) -> bool:
    """Wait until no supervisor holds the container; False if one still does after ``seconds``."""
    import time

    limit = time.monotonic() + seconds
    while state.supervised(paths, container_id):
        if time.monotonic() > limit:
            return False
        time.sleep(0.003)
    return True
