"""``image prune``: images that nothing needs, and what cut pulls left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from lxcwrap.actions import image_listing, remains, remove_image
from lxcwrap.errors import Conflict
from lxcwrap.kernel import lock
from lxcwrap.model import reference as references
from lxcwrap.model import selection
from lxcwrap.store import blobs, containers, images, layers, partial
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

FILTERS = ("label", "label!", "until")

Filters = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Pruned:
    """Docker's lines (``untagged:``, ``deleted:``) and the bytes of layers and blobs that went."""

    lines: tuple[str, ...]
    freed: int


def prune(store: Store, filters: Filters, *, everything: bool = False) -> Pruned:
    """Remove the images without a tag that no container uses; with ``everything`` also those with tags."""
    used = {*(container.image_id for container in containers.listing(store)), *images.mounted(store)}
    lines: list[str] = []
    for image in images.listing(store):
        if image.id in used or (image.references and not everything) or not _fits(store, image, filters):
            continue
        try:
            gone = remove_image.delete(store, image, prune=False)
        except Conflict:
            continue  # a container took it meanwhile
        lines += [f"untagged: {references.parse(name).familiar}" for name in image.references]
        lines += [line.replace("Deleted:", "deleted:") for line in gone]
    freed = layers.collect(store)
    containers.discard_unknown(store)
    remains.sweep(store)
    freed += partial.sweep(store.paths) + sweep_blobs(store)
    store.event("image", "prune", "", {"reclaimed": str(freed)})
    return Pruned(tuple(lines), freed)


def _fits(store: Store, image: Image, filters: Filters) -> bool:
    for text in filters.get("until", ()):
        if image.created > selection.moment(text, time.time()):
            return False
    if not ("label" in filters or "label!" in filters):
        return True
    known = image_listing.labels(store, image)
    unwanted = any(selection.labels_match((item,), known) for item in filters.get("label!", ()))
    return not unwanted and selection.labels_match(filters.get("label", ()), known)


def sweep_blobs(store: Store) -> int:
    """Remove the blobs that no row knows, left by a crash; returns the bytes freed.  Nothing while layers are made."""
    freed = 0
    place = os.path.dirname(store.paths.blob("sha256:0"))
    try:
        with lock.held(f"{store.paths.locks}/layers", wait=False):
            known = {row[0] for row in store.db.execute("SELECT digest FROM layer_blobs")}
            known |= {text for row in store.db.execute("SELECT id, manifest FROM images") for text in row}
            for name in os.listdir(place):
                if f"sha256:{name}" not in known:
                    freed += os.path.getsize(f"{place}/{name}")
                    blobs.remove(store.paths, f"sha256:{name}")
    except lock.Busy:
        pass
    return freed
