"""What journald is told of a container with each line: Docker's fields, so that filters for them find it."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from lxcwrap.errors import Unsupported
from lxcwrap.runtime.journald import SOCKET
from lxcwrap.store.containers import Container

_FOREIGN = re.compile(r"[^A-Z0-9]")
_OURS = ("MESSAGE", "PRIORITY", "SYSLOG_TIMESTAMP", "CONTAINER_")  # names, or their beginnings


def check() -> None:
    """Raises Unsupported on a host without journald."""
    try:
        there = stat.S_ISSOCK(os.stat(SOCKET).st_mode)
    except OSError:
        there = False
    if not there:
        raise Unsupported(f"--log-driver journald: no journald on this host ({SOCKET})", hint="choose local or none")


def plan(container: Container) -> dict[str, Any]:
    """The arguments of ``runtime.journald.JournalLog``."""
    from lxcwrap.model import log_flags

    config = container.config
    env = dict(item.partition("=")[::2] for item in config.env)
    image_id = (container.image_id or "").removeprefix("sha256:")
    values = {
        "ID": container.id[:12],
        "FullID": container.id,
        "Name": container.name,
        "ImageID": image_id[:12],
        "ImageFullID": container.image_id or "",
        "ImageName": config.image,
        "Command": " ".join(config.argv),
        "DaemonName": "lxcwrap",
    }
    tag = log_flags.render(config.log.tag or "{{.ID}}", values)
    fields = {
        "CONTAINER_ID": values["ID"],
        "CONTAINER_ID_FULL": container.id,
        "CONTAINER_NAME": container.name,
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": config.image,
        "SYSLOG_IDENTIFIER": tag,
    }
    for name, value in log_flags.attributes(config.log, dict(config.labels), env).items():
        key = _FOREIGN.sub("_", name.upper()).lstrip("_0123456789")[:64]
        if key and not key.startswith(_OURS):
            fields.setdefault(key, value)
    return {"fields": fields}
