"""Extracted layers, one directory each, keyed by chain ID and shared by all images and containers.

A layer that nothing refers to is garbage.  Whoever makes layers that are not referred to yet (a pull, a
build) works inside ``keeping``; ``collect`` waits for nobody and leaves such times alone.

A layer's files are not synced one layer at a time.  Its row names the boot that wrote it until ``settle`` has
synced the file system, once for an image, before the image is known.  A row of another boot is a layer that a
power cut may have left half-written: it is dropped.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from lxcwrap.kernel import lock
from lxcwrap.store import blobs, staging
from lxcwrap.store.database import Store


@dataclass(frozen=True)
class Layer:
    """A row of the layers table; ``size`` in bytes of the uncompressed tar."""

    chain_id: str
    diff_id: str
    parent: str | None
    size: int


@contextmanager
def keeping(store: Store) -> Iterator[None]:
    """While held, no layer is collected.  First drops the layers that another boot did not live to sync."""
    with lock.held(f"{store.paths.locks}/layers", shared=True):
        _drop_unsettled(store)
        yield


def settle(store: Store) -> None:
    """Make the layers durable that were added since the last time: one syncfs(2), none when there are none.

    It may take long: call it outside of transactions.  Raises OSError.
    """
    rows = store.db.execute("SELECT chain_id FROM layers WHERE boot = ?", (_boot(),)).fetchall()
    if not rows:
        return
    from lxcwrap.kernel.process import syncfs

    place = os.open(store.paths.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(place)
    finally:
        os.close(place)
    with store.transaction() as db:  # what others added meanwhile is not among them
        db.executemany("UPDATE layers SET boot = NULL WHERE chain_id = ?", [(row["chain_id"],) for row in rows])


def _boot() -> str:
    """This boot's id.  Source: random(4)."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()


def _drop_unsettled(store: Store) -> None:
    """Forget the layers of other boots, and the build steps that gave them; no image or container has one."""
    if not store.db.execute("SELECT 1 FROM layers WHERE boot IS NOT NULL LIMIT 1").fetchone():
        return
    with store.transaction(removing=True) as db:
        chains = [row["chain_id"] for row in db.execute("SELECT chain_id FROM layers WHERE boot != ?", (_boot(),))]
        db.executemany("DELETE FROM build_cache WHERE chain_id = ?", [(chain,) for chain in chains])
        db.execute("DELETE FROM layers WHERE boot != ?", (_boot(),))
    for chain in chains:
        with _alone(store, chain):
            if not find(store, chain):
                staging.discard(store.paths, store.paths.layer(chain))


def _alone(store: Store, chain_id: str) -> AbstractContextManager[int]:
    """While held, nobody else makes or drops this layer's directory."""
    return lock.held(f"{store.paths.locks}/layer-{chain_id[7:19]}")


def find(store: Store, chain_id: str) -> Layer | None:
    row = store.db.execute("SELECT * FROM layers WHERE chain_id = ?", (chain_id,)).fetchone()
    return _layer(row) if row else None


def _layer(row: sqlite3.Row) -> Layer:
    return Layer(row["chain_id"], row["diff_id"], row["parent"], row["size"])


def stack(store: Store, chain_id: str | None) -> tuple[Layer, ...]:
    """The layer and all below it, lowest first."""
    rows = store.db.execute(
        """
        WITH RECURSIVE up(chain_id, diff_id, parent, size, depth) AS (
            SELECT chain_id, diff_id, parent, size, 0 FROM layers WHERE chain_id = ?
            UNION ALL
            SELECT l.chain_id, l.diff_id, l.parent, l.size, depth + 1 FROM layers l JOIN up ON l.chain_id = up.parent
        )
        SELECT * FROM up ORDER BY depth DESC
        """,
        (chain_id,),
    )
    return tuple(map(_layer, rows))


def add(store: Store, layer: Layer, staged: str) -> None:
    """Give a staged layer directory (with ``diff`` in it) its place and make it known; does nothing if it is.

    The parent must be known already, and the caller be ``keeping``.  Before an image is made of it: ``settle``.
    """
    place = store.paths.layer(layer.chain_id)
    with _alone(store, layer.chain_id):
        if find(store, layer.chain_id):
            return
        staging.discard(store.paths, place)  # left by a crash between the rename and the commit
        os.rename(staged, place)
        with store.transaction() as db:
            db.execute(
                "INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?)",
                (layer.chain_id, layer.diff_id, layer.parent, layer.size, time.time(), _boot()),
            )


def collect(store: Store) -> int:
    """Remove the layers that no image, container or cached build step needs; returns the bytes freed.

    Does nothing while somebody is ``keeping``.
    """
    freed = 0
    try:
        with lock.held(f"{store.paths.locks}/layers", wait=False):
            _drop_unsettled(store)
            _discard_unknown(store)
            while garbage := _garbage(store):
                for layer in garbage:
                    freed += _remove(store, layer)
    except lock.Busy:
        pass
    return freed


def _discard_unknown(store: Store) -> None:
    """Remove the directories without a row: a crash came between the two.  Nobody is adding any."""
    known = {os.path.basename(store.paths.layer(row["chain_id"])) for row in store.db.execute("SELECT * FROM layers")}
    holder = os.path.dirname(store.paths.layer("sha256:"))
    for name in sorted(set(os.listdir(holder)) - known):
        staging.discard(store.paths, f"{holder}/{name}")


def _garbage(store: Store) -> list[Layer]:
    rows = store.db.execute(
        """
        SELECT chain_id, diff_id, parent, size FROM layers l
        WHERE NOT EXISTS (SELECT 1 FROM layers c WHERE c.parent = l.chain_id)
          AND NOT EXISTS (SELECT 1 FROM images i WHERE i.chain_id = l.chain_id)
          AND NOT EXISTS (SELECT 1 FROM containers c WHERE c.chain_id = l.chain_id)
          AND NOT EXISTS (SELECT 1 FROM build_cache b WHERE b.chain_id = l.chain_id)
        """
    )
    return list(map(_layer, rows))


def _remove(store: Store, layer: Layer) -> int:
    with store.transaction(removing=True) as db:
        db.execute("DELETE FROM layers WHERE chain_id = ?", (layer.chain_id,))
        digests = [blob.digest for blob in blobs_of(store, layer.diff_id)]
        if db.execute("SELECT 1 FROM layers WHERE diff_id = ?", (layer.diff_id,)).fetchone():
            digests = []  # the same tar is a layer on another stack
        for digest in digests:
            db.execute("DELETE FROM layer_blobs WHERE digest = ?", (digest,))
            db.execute("DELETE FROM blob_sources WHERE digest = ?", (digest,))
    for digest in digests:
        blobs.remove(store.paths, digest)
    staging.discard(store.paths, store.paths.layer(layer.chain_id))
    return layer.size


@dataclass(frozen=True)
class LayerBlob:
    """A compressed (or plain) tar of a layer, known by digest; its file may or may not be here."""

    digest: str
    diff_id: str
    media_type: str
    size: int
    canonical: bool = False


def blobs_of(store: Store, diff_id: str) -> tuple[LayerBlob, ...]:
    """The known forms of a layer's tar."""
    rows = store.db.execute("SELECT * FROM layer_blobs WHERE diff_id = ?", (diff_id,))
    return tuple(map(_blob, rows))


def find_blob(store: Store, digest: str) -> LayerBlob | None:
    row = store.db.execute("SELECT * FROM layer_blobs WHERE digest = ?", (digest,)).fetchone()
    return _blob(row) if row else None


def _blob(row: sqlite3.Row) -> LayerBlob:
    return LayerBlob(row["digest"], row["diff_id"], row["media_type"], row["size"], bool(row["canonical"]))


def add_blob(store: Store, blob: LayerBlob) -> None:
    with store.transaction() as db:
        db.execute(
            "INSERT OR IGNORE INTO layer_blobs VALUES (?, ?, ?, ?, ?)",
            (blob.digest, blob.diff_id, blob.media_type, blob.size, int(blob.canonical)),
        )


def add_source(store: Store, digest: str, repository: str) -> None:
    """Remember that ``repository`` (domain/path) holds the blob ``digest``."""
    with store.transaction() as db:
        db.execute("INSERT OR IGNORE INTO blob_sources VALUES (?, ?)", (digest, repository))


def sources(store: Store, digest: str) -> tuple[str, ...]:
    rows = store.db.execute("SELECT repository FROM blob_sources WHERE digest = ? ORDER BY repository", (digest,))
    return tuple(row["repository"] for row in rows)
