"""Blobs that come before what they belong to is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lxcwrap.store import blobs, images, layers
from lxcwrap.store.database import Store


@contextmanager
def undone_on_failure(store: Store, digests: Iterable[str]) -> Iterator[None]:
    """What has come of these for an image that did not is removed first: a full disk has no room to forget layers."""
    new = [digest for digest in digests if not blobs.exists(store.paths, digest)]
    try:
        yield
    except BaseException:
        known = {text for image in images.listing(store) for text in (image.id, image.manifest)}
        for digest in new:  # unless another command has brought the same meanwhile
            if digest not in known and not layers.find_blob(store, digest):
                blobs.remove(store.paths, digest)
        raise
