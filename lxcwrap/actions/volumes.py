"""Volumes as ``lxcwrap volume`` lists, shows and prunes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lxcwrap.actions import sizes
from lxcwrap.errors import Conflict, LxcwrapError
from lxcwrap.model import phrases, volume_options
from lxcwrap.model.godata import map_
from lxcwrap.model.selection import labels_match, truth
from lxcwrap.store import volumes
from lxcwrap.store.database import Store
from lxcwrap.store.volumes import Volume

FILTERS = ("dangling", "driver", "label", "name")
PRUNE_FILTERS = ("all", "label", "label!")

Filters = Mapping[str, tuple[str, ...]]


def select(store: Store, filters: Filters) -> list[Volume]:
    """The volumes that fit, by name.  Raises UsageError for a value that makes no sense."""
    used = volumes.used(store)
    names = [_pattern(text) for text in filters.get("name", ())]
    dangling = truth(filters["dangling"], "dangling") if "dangling" in filters else None
    return [
        volume
        for volume in volumes.listing(store)
        if (dangling is None or (volume.name not in used) == dangling)
        and ("driver" not in filters or volume.driver in filters["driver"])
        and (not names or any(pattern.search(volume.name) for pattern in names))
        and labels_match(filters.get("label", ()), dict(volume.labels))
    ]


def _pattern(text: str) -> re.Pattern[str]:
    """A part of the name, or a regular expression, as Docker takes it."""
    try:
        return re.compile(text)
    except re.error as error:
        raise LxcwrapError(f"filter name={text}: {error}") from None


def create(
    store: Store, name: str, *, labels: tuple[tuple[str, str], ...], options: volume_options.Options, driver: str
) -> Volume:
    """As ``store.volumes.create``.  Raises Unsupported for a file system that this kernel does not have."""
    from lxcwrap.actions import volume_sources

    volume_sources.check(options)
    return volumes.create(store, name, labels=labels, options=options, driver=driver)


def mountpoint(store: Store, volume: Volume) -> str:
    """Where the host finds its files: of a volume that is bound, its directory; other mounts only containers see."""
    bound = volume_options.is_bind(volume.options)
    return dict(volume.options)["device"] if bound else store.paths.volume(volume.name)


def row(store: Store, volume: Volume) -> dict[str, Any]:
    """What ``volume ls`` prints, by the names that ``--format`` knows."""
    labels = dict(volume.labels)
    return {
        "Driver": volume.driver,
        "Name": volume.name,
        "Labels": ",".join(f"{name}={value}" for name, value in labels.items()),
        "Label": lambda name: labels.get(name, ""),
        "Mountpoint": mountpoint(store, volume),
        "Scope": "local",
        "Availability": "N/A",
        "Group": "N/A",
        "Links": "N/A",
        "Size": "N/A",
        "Status": "N/A",
    }


def document(store: Store, name: str) -> dict[str, Any]:
    """``volume inspect``.  Raises NotFound."""
    volume = volumes.get(store, name)
    return {
        "CreatedAt": phrases.rfc3339(int(volume.created)).replace(".000000000", ""),
        "Driver": volume.driver,
        "Labels": map_(volume.labels),
        "Mountpoint": mountpoint(store, volume),
        "Name": volume.name,
        "Options": map_(volume_options.shown(volume.options)),
        "Scope": "local",
    }


def prune(store: Store, filters: Filters) -> tuple[list[str], int]:
    """Remove what no container uses: anonymous volumes, with the filter all=true named ones too.

    Returns the names and the bytes freed.
    """
    everything = truth(filters["all"], "all") if "all" in filters else False
    used = volumes.used(store)
    removed, freed = [], 0
    for volume in volumes.listing(store):
        labels = dict(volume.labels)
        if volume.name in used or not (volume.anonymous or everything):
            continue
        unwanted = any(labels_match((item,), labels) for item in filters.get("label!", ()))
        if unwanted or not labels_match(filters.get("label", ()), labels):
            continue
        size = sizes.tree(store.paths.volume(volume.name))
        try:
            volumes.remove(store, volume.name)
        except Conflict:
            continue  # a container took it meanwhile
        removed.append(volume.name)
        freed += size
    store.event("volume", "prune", "", {"reclaimed": str(freed)})
    return removed, freed


def pairs(items: tuple[str, ...], what: str) -> tuple[tuple[str, str], ...]:
    """``name=value`` words; a name alone has an empty value.  Raises LxcwrapError for an empty name."""
    found = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name:
            raise LxcwrapError(f"{what} {item!r} has no name")
        found[name] = value
    return tuple(found.items())
