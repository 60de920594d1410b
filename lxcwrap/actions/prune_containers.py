"""``container prune``: containers that do not run."""

from __future__ import annotations

import time
from collections.abc import Mapping

from lxcwrap.actions import listing, remove, sizes
from lxcwrap.errors import Conflict, NotFound
from lxcwrap.model import selection
from lxcwrap.store import containers
from lxcwrap.store.database import Store
from lxcwrap.store.overview import Overview

FILTERS = ("label", "label!", "until")

Filters = Mapping[str, tuple[str, ...]]


def prune(store: Store, filters: Filters) -> tuple[list[str], int]:
    """Remove them; returns their IDs and the bytes freed.  Raises UsageError for a time that makes no sense."""
    removed, freed = [], 0
    moments = [selection.moment(text, time.time()) for text in filters.get("until", ())]
    for entry in listing.select(store, everything=True):
        container = entry.container
        if entry.state.live or any(container.created > moment for moment in moments) or not _fits(container, filters):
            continue
        size = sizes.writable(store, container)
        try:
            remove.remove(store, containers.resolve(store, container.id))
        except (Conflict, NotFound):
            continue  # started or removed meanwhile
        removed.append(container.id)
        freed += size
    store.event("container", "prune", "", {"reclaimed": str(freed)})
    return removed, freed


def _fits(container: Overview, filters: Filters) -> bool:
    labels = listing.labels(container)
    unwanted = any(selection.labels_match((item,), labels) for item in filters.get("label!", ()))
    return not unwanted and selection.labels_match(filters.get("label", ()), labels)
