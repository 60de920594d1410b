"""``system df``: what images, containers, volumes and the build cache take on disk."""

from __future__ import annotations

from typing import Any, NamedTuple

from lxcwrap.actions import listing, sizes
from lxcwrap.model.units import show_bytes
from lxcwrap.store import images, volumes
from lxcwrap.store.database import Store

_UNUSED = """
    WITH RECURSIVE used(chain_id) AS (
        SELECT chain_id FROM containers WHERE chain_id IS NOT NULL
        UNION SELECT i.chain_id FROM images i JOIN containers c ON c.image_id = i.id WHERE i.chain_id IS NOT NULL
        UNION SELECT i.chain_id FROM images i JOIN container_images m ON m.image_id = i.id WHERE i.chain_id IS NOT NULL
        UNION SELECT l.parent FROM layers l JOIN used ON l.chain_id = used.chain_id WHERE l.parent IS NOT NULL
    ), imaged(chain_id) AS (
        SELECT chain_id FROM images WHERE chain_id IS NOT NULL
        UNION SELECT chain_id FROM used
        UNION SELECT l.parent FROM layers l JOIN imaged ON l.chain_id = imaged.chain_id WHERE l.parent IS NOT NULL
    )
    SELECT
        COALESCE(SUM(CASE WHEN chain_id IN imaged THEN size END), 0),
        COALESCE(SUM(CASE WHEN chain_id IN imaged AND chain_id NOT IN used THEN size END), 0),
        COALESCE(SUM(CASE WHEN chain_id NOT IN imaged THEN size END), 0)
    FROM layers
"""


class Share(NamedTuple):
    """One kind of thing: how many, how many in use, bytes, and bytes of those not in use."""

    kind: str
    total: int
    active: int
    size: int
    free: int


def summary(store: Store) -> list[Share]:
    """The four lines; layers count once however many images share them."""
    in_images, unused, cached = map(int, store.db.execute(_UNUSED).fetchone())
    used_images = store.db.execute(
        "SELECT COUNT(*) FROM (SELECT image_id FROM containers WHERE image_id IS NOT NULL"
        " UNION SELECT image_id FROM container_images)"
    ).fetchone()[0]
    steps = store.db.execute("SELECT COUNT(*) FROM build_cache").fetchone()[0]
    entries = [(entry.state.live, sizes.writable(store, entry.container)) for entry in _everything(store)]
    used = volumes.used(store)
    places = [(one.name in used, sizes.tree(store.paths.volume(one.name))) for one in volumes.listing(store)]
    return [
        Share("Images", len(images.listing(store)), int(used_images), in_images, unused),
        _share("Containers", entries),
        _share("Local Volumes", places),
        Share("Build Cache", int(steps), 0, cached, cached),
    ]


def _everything(store: Store) -> list[listing.Entry]:
    return listing.select(store, everything=True)


def _share(kind: str, items: list[tuple[bool, int]]) -> Share:
    return Share(
        kind,
        len(items),
        sum(active for active, _ in items),
        sum(size for _, size in items),
        sum(size for active, size in items if not active),
    )


def row(share: Share) -> dict[str, Any]:
    """What ``system df`` prints, by the names that ``--format`` knows."""
    percent = f" ({100 * share.free // share.size}%)" if share.size else ""
    return {
        "Type": share.kind,
        "TotalCount": str(share.total),
        "Active": str(share.active),
        "Size": show_bytes(share.size),
        "Reclaimable": show_bytes(share.free) + percent,
    }


def volume_rows(store: Store) -> list[dict[str, Any]]:
    """For ``system df -v``."""
    return [
        {
            "Name": volume.name,
            "Links": str(len(volumes.users(store, volume.name))),
            "Size": show_bytes(sizes.tree(store.paths.volume(volume.name))),
        }
        for volume in volumes.listing(store)
    ]


def container_rows(store: Store) -> list[dict[str, Any]]:
    """For ``system df -v``: those of ``ps -a`` with the bytes written alone."""
    entries = _everything(store)
    rows = listing.rows(store, entries)
    for entry, plain in zip(entries, rows, strict=True):
        plain["Size"] = show_bytes(sizes.writable(store, entry.container))
    return rows
