"""``ps``: which containers, in Docker's words.  Loads nothing that it can do without."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from lxcwrap.errors import LxcwrapError, UsageError
from lxcwrap.model import phrases
from lxcwrap.runtime import state as states
from lxcwrap.runtime.state import State
from lxcwrap.store import overview
from lxcwrap.store.database import Store
from lxcwrap.store.overview import Overview

FILTERS = (
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "name", "network", "publish",
    "since", "status", "volume",
)  # fmt: skip
STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")

Filters = Mapping[str, tuple[str, ...]]


class Entry(NamedTuple):
    """A container and what it does now."""

    container: Overview
    state: State


def select(store: Store, *, everything: bool = False, last: int = 0, filters: Filters | None = None) -> list[Entry]:
    """The containers that ``ps`` lists, newest first.

    Without ``everything`` only those that run, unless a status is asked for; ``last`` takes so many, whatever they do.
    Raises NotFound or LxcwrapError for filters that make no sense.
    """
    filters = filters or {}
    _check(filters)
    found = overview.containers(store)
    fits = _test(store, filters, found)
    chosen: list[Entry] = []
    entries = [Entry(container, states.read(store.paths, container.id)) for container in found]
    if any(entry.state.killed or (entry.container.ports and not entry.state.live) for entry in entries):
        _settle(store)
    for entry in entries:
        live = entry.state.live
        if (live or everything or last > 0 or "status" in filters) and fits(entry):
            chosen.append(entry)
            if len(chosen) == last:
                break
    return chosen


def _settle(store: Store) -> None:
    from lxcwrap.actions import remains  # for once: somebody killed a supervisor

    remains.settle(store)


def _check(filters: Filters) -> None:
    for status in filters.get("status", ()):
        if status not in STATUSES:
            raise LxcwrapError(f"unrecognised filter value for status: {status}", hint=", ".join(STATUSES))
    for health in filters.get("health", ()):
        if health not in ("starting", "healthy", "unhealthy", "none"):
            raise LxcwrapError(f"unrecognised filter value for health: {health}")
    for code in filters.get("exited", ()):
        if not re.fullmatch(r"-?\d+", code):
            raise LxcwrapError(f"filter exited={code} is not a number")
    for name in filters.get("name", ()):
        try:
            re.compile(name)
        except re.error as error:
            raise LxcwrapError(f"filter name={name}: {error}") from None


def _test(store: Store, filters: Filters, found: tuple[Overview, ...]) -> Callable[[Entry], bool]:
    """One question to each container from all filters: of the values of one, any; of the filters, all."""
    tests: list[Callable[[Entry], bool]] = []
    for name, values in filters.items():
        if name in ("before", "since"):
            tests.append(_relative(name, values, found))
        elif name == "ancestor":
            tests.append(_ancestor(store, values))
        elif name == "label":
            tests.append(_labelled(values))
        elif name == "network":
            tests.append(_any_of(_TESTS[name], _network_names(store, values)))
        else:
            tests.append(_any_of(_TESTS[name], values))
    return lambda entry: all(test(entry) for test in tests)


def _network_names(store: Store, values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, and the names of the networks whose IDs begin with one of them."""
    ids = [(row["id"], row["name"]) for row in store.db.execute("SELECT id, name FROM networks")]
    return (*values, *(name for number, name in ids if any(value and number.startswith(value) for value in values)))


def _any_of(test: Callable[[Entry, str], bool], values: tuple[str, ...]) -> Callable[[Entry], bool]:
    return lambda entry: any(test(entry, value) for value in values)


def _labelled(values: tuple[str, ...]) -> Callable[[Entry], bool]:
    from lxcwrap.model.selection import labels_match

    return lambda entry: labels_match(values, labels(entry.container))


def _relative(name: str, values: tuple[str, ...], found: tuple[Overview, ...]) -> Callable[[Entry], bool]:
    moments = [_find(found, value).created for value in values]
    if name == "before":
        return lambda entry: all(entry.container.created < moment for moment in moments)
    return lambda entry: all(entry.container.created > moment for moment in moments)


def _find(found: Iterable[Overview], text: str) -> Overview:
    for container in found:
        if text in (container.name, container.id):
            return container
    for container in found:
        if text and container.id.startswith(text):
            return container
    from lxcwrap.errors import NotFound

    raise NotFound(f"no such container: {text}")


def _ancestor(store: Store, values: tuple[str, ...]) -> Callable[[Entry], bool]:
    """Made from the image or from one that is built upon its layers."""
    from lxcwrap.actions import images
    from lxcwrap.store import layers

    wanted = [image for image in (images.find(store, value) for value in values) if image]

    def test(entry: Entry) -> bool:
        container = entry.container
        chain = {layer.chain_id for layer in layers.stack(store, container.chain_id)}
        return any(container.image_id == image.id or image.chain_id in chain for image in wanted)

    return test


def _exited(entry: Entry, code: str) -> bool:
    return entry.state.status in ("exited", "dead") and entry.state.exit_code == int(code)


def _health(entry: Entry, wanted: str) -> bool:
    return (entry.state.health or "none") == wanted


def _volume(entry: Entry, wanted: str) -> bool:
    return any(wanted in (mount.get("source"), mount["target"]) for mount in entry.container.config.get("mounts", ()))


def _published(entry: Entry, wanted: str) -> bool:
    low, high, protocol = _port_range(wanted)
    ports = entry.container.config.get("network", {}).get("ports", ())
    return any(
        low <= port["container_port"] <= high and protocol in ("", port.get("protocol", "tcp")) for port in ports
    )


def _exposed(entry: Entry, wanted: str) -> bool:
    low, high, protocol = _port_range(wanted)
    for item in entry.container.config.get("exposed", ()):
        number, _, kind = item.partition("/")
        if number.isdigit() and low <= int(number) <= high and protocol in ("", kind or "tcp"):
            return True
    return _published(entry, wanted)


def _port_range(text: str) -> tuple[int, int, str]:
    """``80``, ``80/tcp``, ``8000-8010/udp``.  Raises UsageError."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", text)
    if not match:
        raise UsageError(f"filter value {text!r} is not a port", hint="write 80, 80/tcp or 8000-8010/udp", exit_code=1)
    return int(match[1]), int(match[2] or match[1]), match[3] or ""


_TESTS: dict[str, Callable[[Entry, str], bool]] = {
    "id": lambda entry, value: entry.container.id.startswith(value),
    "name": lambda entry, value: bool(
        re.search(value, entry.container.name) or re.search(value, "/" + entry.container.name)
    ),
    "status": lambda entry, value: entry.state.status == value,
    "exited": _exited,
    "health": _health,
    "is-task": lambda entry, value: value.lower() in ("false", "0"),
    "volume": _volume,
    "network": lambda entry, value: value in networks(entry.container),
    "publish": _published,
    "expose": _exposed,
}


def labels(container: Overview) -> dict[str, str]:
    return dict(container.config.get("labels", ()))


def mode(container: Overview) -> str:
    """The network's name, or none, host, container:<id>."""
    return str(container.config.get("network", {}).get("mode", "bridge"))


def networks(container: Overview) -> list[str]:
    """The names of all its networks."""
    return [mode(container), *(more["name"] for more in container.config.get("network", {}).get("more", ()))]


def rows(store: Store, entries: list[Entry], *, truncate: bool = True, size: bool = False) -> list[dict[str, Any]]:
    """What ``ps`` prints of each, by the names that ``--format`` knows."""
    now = time.time()
    names = overview.image_names(store) if entries else {}
    listed = []
    for entry in entries:
        row = _row(entry, names, truncate, now)
        if size:
            from lxcwrap.actions.sizes import size_text

            row["Size"] = size_text(store, entry.container)
        listed.append(row)
    return listed


def _row(entry: Entry, names: Mapping[str, set[str]], truncate: bool, now: float) -> dict[str, Any]:
    container, state = entry
    config = container.config
    live = state.status in ("running", "paused")
    known = labels(container)
    argv = (*config.get("entrypoint", ()), *config.get("command", ()))
    return {
        "ID": container.id[:12] if truncate else container.id,
        "Image": image_text(container, names.get(container.image_id or "", set()), truncate),
        "Command": phrases.quoted_command(argv, 20 if truncate else 0),
        "CreatedAt": phrases.local_time(container.created),
        "RunningFor": phrases.ago(container.created, now),
        "Status": _status(state, now),
        "State": state.status,
        "Ports": phrases.ports(container.ports, config.get("exposed", ())) if live else "",
        "Names": container.name,
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(known.items())),
        "Label": lambda name: known.get(name, ""),
        "Mounts": ",".join(_mounts(container, truncate)),
        "LocalVolumes": str(len(container.volumes)),
        "Networks": ",".join(networks(container)),
        "Size": "0B",
    }


def _status(state: State, now: float) -> str:
    return phrases.status(
        state.status,
        now,
        started=state.started_at,
        finished=state.finished_at,
        exit_code=state.exit_code,
        health=state.health,
    )


def image_text(container: Overview, names: set[str], truncate: bool) -> str:
    """The image as the user named it; its ID once that name means another image."""
    text = str(container.config.get("image", ""))
    image_id = container.image_id or ""
    digits = text.removeprefix("sha256:")
    if not image_id:
        return text or "<no image>"
    if "@" in text:
        return text
    candidates = {
        f"{prefix}{text}{tag}" for prefix in ("", "docker.io/", "docker.io/library/") for tag in ("", ":latest")
    }
    if candidates & names:
        return text
    if image_id.removeprefix("sha256:").startswith(digits) and not truncate:
        return text
    return image_id[7:19] if truncate else image_id


def _mounts(container: Overview, truncate: bool) -> list[str]:
    listed = []
    for mount in container.config.get("mounts", ()):
        if mount["kind"] != "tmpfs":
            name = mount.get("source") or ""
            listed.append(name[:14] + "…" if truncate and len(name) > 15 else name)
    return sorted(listed)
