"""Images by ID, tag and digest."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from lxcwrap.errors import Conflict, NotFound
from lxcwrap.model import digest as digests
from lxcwrap.model.image import ImageConfig, Manifest
from lxcwrap.store import blobs, layers
from lxcwrap.store.database import Store


@dataclass(frozen=True)
class Image:
    """A row of the images table."""

    id: str
    manifest: str
    chain_id: str | None
    size: int  # bytes
    platform: str
    created: float
    added: float
    references: tuple[str, ...]  # canonical, with tag
    digests: tuple[tuple[str, str], ...]  # (repository, digest)


def config(store: Store, image_id: str) -> ImageConfig:
    """The image configuration, checked against its digest.  Raises NotFound or Corrupt."""
    import json

    return ImageConfig.from_json(json.loads(blobs.read(store.paths, image_id)))


def manifest(store: Store, image: Image) -> Manifest:
    import json

    return Manifest.from_json(json.loads(blobs.read(store.paths, image.manifest)))


def add(store: Store, image_id: str, manifest_digest: str, parsed: ImageConfig) -> None:
    """Make an image known.  Its config and manifest blobs and its layers must be in place.

    The layers are settled before it; who calls this in a transaction does that earlier, to keep nobody waiting.
    """
    layers.settle(store)
    chain = digests.chain_ids(parsed.diff_ids)
    size = sum(layer.size for layer in layers.stack(store, chain[-1] if chain else None))
    with store.transaction() as db:
        db.execute(
            """
            INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest
            """,
            (image_id, manifest_digest, chain[-1] if chain else None, size, str(parsed.platform),
             parse_time(parsed.created), time.time()),
        )  # fmt: skip


def tag(store: Store, reference: str, image_id: str, *, event: str = "tag") -> str | None:
    """Point the canonical reference at the image; returns the ID of the image that had it before.

    ``event``: what the journal says of it; '' for nothing.
    """
    with store.transaction() as db:
        row = db.execute("SELECT image_id FROM image_references WHERE reference = ?", (reference,)).fetchone()
        db.execute("INSERT OR REPLACE INTO image_references VALUES (?, ?)", (reference, image_id))
        if event:
            store.event("image", event, image_id, {"name": _familiar(reference)})
    return row["image_id"] if row and row["image_id"] != image_id else None


def untag(store: Store, reference: str) -> None:
    with store.transaction() as db:
        row = db.execute("SELECT image_id FROM image_references WHERE reference = ?", (reference,)).fetchone()
        db.execute("DELETE FROM image_references WHERE reference = ?", (reference,))
        if row:
            store.event("image", "untag", row["image_id"], {"name": _familiar(reference)})


def _familiar(reference: str) -> str:
    return reference.removeprefix("docker.io/").removeprefix("library/")


def add_digest(store: Store, repository: str, digest: str, image_id: str) -> None:
    """Remember that ``repository`` (domain/path) knows the image by ``digest``."""
    with store.transaction() as db:
        db.execute("INSERT OR REPLACE INTO repository_digests VALUES (?, ?, ?)", (repository, digest, image_id))


def listing(store: Store) -> tuple[Image, ...]:
    """All images, newest first."""
    references: dict[str, list[str]] = {}
    known: dict[str, list[tuple[str, str]]] = {}
    for row in store.db.execute("SELECT reference, image_id FROM image_references ORDER BY reference"):
        references.setdefault(row["image_id"], []).append(row["reference"])
    for row in store.db.execute("SELECT repository, digest, image_id FROM repository_digests ORDER BY 1, 2"):
        known.setdefault(row["image_id"], []).append((row["repository"], row["digest"]))
    rows = store.db.execute("SELECT * FROM images ORDER BY created DESC, added DESC")
    return tuple(_image(row, tuple(references.get(row["id"], ())), tuple(known.get(row["id"], ()))) for row in rows)


def get(store: Store, image_id: str) -> Image:
    """By full ID.  Raises NotFound."""
    row = store.db.execute("SELECT * FROM images WHERE id = ?", (image_id,)).fetchone()
    if not row:
        raise NotFound(f"no such image: {image_id}")
    db = store.db
    names = db.execute("SELECT reference FROM image_references WHERE image_id = ? ORDER BY 1", (image_id,))
    known = db.execute(
        "SELECT repository, digest FROM repository_digests WHERE image_id = ? ORDER BY 1, 2", (row["id"],)
    )
    return _image(row, tuple(r["reference"] for r in names), tuple((r[0], r[1]) for r in known))


def find_tag(store: Store, reference: str) -> Image | None:
    """By canonical reference (domain/path:tag)."""
    row = store.db.execute("SELECT image_id FROM image_references WHERE reference = ?", (reference,)).fetchone()
    return get(store, row["image_id"]) if row else None


def find_digest(store: Store, repository: str, digest: str) -> Image | None:
    """By canonical repository and manifest digest."""
    row = store.db.execute(
        "SELECT image_id FROM repository_digests WHERE repository = ? AND digest = ?", (repository, digest)
    ).fetchone()
    return get(store, row["image_id"]) if row else None


def find_id(store: Store, prefix: str) -> Image | None:
    """By ID or a prefix of at least one hex digit, with or without ``sha256:``.  Raises Conflict if ambiguous."""
    digits = prefix.removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{1,64}", digits):
        return None
    rows = store.db.execute(
        "SELECT id FROM images WHERE id >= ? AND id < ? LIMIT 2", (f"sha256:{digits}", f"sha256:{digits}g")
    ).fetchall()
    if len(rows) > 1:
        raise Conflict(f"image ID prefix {prefix} is ambiguous", hint="give more digits")
    return get(store, rows[0]["id"]) if rows else None


def attach(store: Store, container_id: str, image_ids: Iterable[str]) -> None:
    """Say that the container mounts these images and no others.  Raises NotFound when one went meanwhile."""
    try:
        with store.transaction() as db:
            db.execute("DELETE FROM container_images WHERE container_id = ?", (container_id,))
            for image_id in set(image_ids):
                db.execute("INSERT INTO container_images VALUES (?, ?)", (container_id, image_id))
    except sqlite3.IntegrityError:
        raise NotFound(f"an image of container {container_id[:12]} was removed meanwhile") from None


def mounted(store: Store) -> dict[str, set[str]]:
    """The images that containers mount, and the IDs of these containers."""
    found: dict[str, set[str]] = {}
    for row in store.db.execute("SELECT image_id, container_id FROM container_images"):
        found.setdefault(row["image_id"], set()).add(row["container_id"])
    return found


def remove(store: Store, image_id: str) -> None:
    """Forget an image, its tags and its documents; layers are left to ``layers.collect``.

    Raises Conflict while a container uses it.
    """
    image = get(store, image_id)
    with store.transaction(removing=True) as db:
        user = db.execute(
            """
            SELECT id, name FROM containers
            WHERE image_id = :image OR id IN (SELECT container_id FROM container_images WHERE image_id = :image)
            LIMIT 1
            """,
            {"image": image_id},
        ).fetchone()
        if user:
            raise Conflict(
                f"image {image_id[7:19]} is used by container {user['name']} ({user['id'][:12]})",
                hint=f"remove the container first: lxcwrap rm {user['name']}",
            )
        db.execute("DELETE FROM image_references WHERE image_id = ?", (image_id,))
        db.execute("DELETE FROM images WHERE id = ?", (image_id,))
        store.event("image", "delete", image_id, {"name": image_id})
    blobs.remove(store.paths, image_id)
    blobs.remove(store.paths, image.manifest)


def _image(row: sqlite3.Row, references: tuple[str, ...], known: tuple[tuple[str, str], ...]) -> Image:
    return Image(
        row["id"], row["manifest"], row["chain_id"], row["size"], row["platform"], row["created"], row["added"],
        references, known,
    )  # fmt: skip


def parse_time(text: str) -> float:
    """RFC 3339 with any number of fractional digits, in seconds since the epoch; 0 for nothing or nonsense."""
    import datetime

    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if not match:
        return 0.0
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        return datetime.datetime.fromisoformat(match[1] + zone).timestamp() + float(match[2] or 0)
    except ValueError:
        return 0.0
