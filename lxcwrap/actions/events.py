"""``events``: what happened, and what happens from now on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from lxcwrap.errors import LxcwrapError
from lxcwrap.kernel.journal import Reader
from lxcwrap.kernel.watch import Watch
from lxcwrap.model.selection import labels_match
from lxcwrap.runtime.logfile import timestamp
from lxcwrap.store.database import Store

TYPES = ("container", "image", "volume", "network", "builder", "daemon")
FILTERS = ("container", "event", "id", "image", "label", "network", "scope", "type", "volume")

Filters = Mapping[str, tuple[str, ...]]


def check(filters: Filters) -> None:
    """Raises LxcwrapError for a type that there is not."""
    for kind in filters.get("type", ()):
        if kind not in TYPES:
            raise LxcwrapError(f"filter type={kind}: there is no such type", hint=", ".join(TYPES))


def follow(store: Store, filters: Filters, since: float | None, until: float | None) -> Iterator[dict[str, Any]]:
    """Events as ``--format`` knows them: from ``since`` (else from now) to ``until`` (else for ever), in seconds.

    Does not look at the files between changes.
    """
    begin = int((time.time() if since is None else since) * 1e9)
    os.makedirs(os.path.dirname(store.paths.events), 0o700, exist_ok=True)
    watch = Watch(os.path.dirname(store.paths.events))
    reader = Reader(store.paths.events)
    while True:
        for entry in reader.read():
            if until is not None and entry["time"] > until * 1e9:
                return
            if entry["time"] >= begin and fits(entry, filters):
                yield document(entry)
        left = None if until is None else until - time.time()
        if left is not None and left <= 0:
            return
        watch.wait(left)


def fits(entry: Mapping[str, Any], filters: Filters) -> bool:
    """Of the values of one filter any, of the filters all; labels must all fit."""
    return all(_fits(entry, name, values) for name, values in filters.items())


def _fits(entry: Mapping[str, Any], name: str, values: tuple[str, ...]) -> bool:
    kind, attributes = entry["kind"], entry["attributes"]
    if name == "type":
        return kind in values
    if name == "event":  # health_status also means health_status: healthy
        return any(value in (entry["action"], entry["action"].partition(":")[0]) for value in values)
    if name == "label":
        return labels_match(values, attributes)
    if name == "scope":
        return "local" in values
    if name == "id":
        return any(entry["actor"].startswith(value) for value in values)
    if name == "image" and kind == "container":
        return any(_image(value, attributes.get("image", "")) for value in values)
    return kind == name and any(_actor(entry, value) for value in values)


def _actor(entry: Mapping[str, Any], value: str) -> bool:
    known, name = entry["actor"], entry["attributes"].get("name", "")
    if entry["kind"] == "image" and (_image(value, name) or _image(value, known)):
        return True
    return value in (known, name) or (len(value) >= 3 and known.removeprefix("sha256:").startswith(value))


def _image(value: str, name: str) -> bool:
    """``busybox`` also means any of its tags."""
    return value == name or name.startswith((value + ":", value + "@"))


def document(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Docker's form of an event."""
    kind, action, actor, attributes = entry["kind"], entry["action"], entry["actor"], entry["attributes"]
    shown: dict[str, Any] = {}
    if kind in ("container", "image"):  # where clients of old look
        shown = {"status": action, "id": actor}
        if kind == "container":
            shown["from"] = attributes.get("image", "")
    return shown | {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": actor, "Attributes": attributes},
        "scope": "local",
        "time": entry["time"] // 10**9,
        "timeNano": entry["time"],
    }


def line(event: Mapping[str, Any]) -> str:
    """Docker's line: time, type, action, actor, attributes."""
    attributes = ", ".join(f"{name}={value}" for name, value in sorted(event["Actor"]["Attributes"].items()))
    stamp = timestamp(event["timeNano"])
    return f"{stamp} {event['Type']} {event['Action']} {event['Actor']['ID']}" + (
        f" ({attributes})" if attributes else ""
    )
