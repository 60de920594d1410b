"""Results of build steps by the key of what they depend on.  A row keeps its layer from being collected."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lxcwrap.store.database import Store


@dataclass(frozen=True)
class CachedStep:
    """``chain_id`` None: the step left no layer at all below or of its own.  ``facts`` are the builder's."""

    key: str
    chain_id: str | None
    facts: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0  # seconds since the epoch; 0: now
    used: float = 0.0


def find(store: Store, key: str) -> CachedStep | None:
    row = store.db.execute("SELECT * FROM build_cache WHERE key = ?", (key,)).fetchone()
    return _step(row) if row else None


def listing(store: Store) -> tuple[CachedStep, ...]:
    """All rows, most recently used first."""
    return tuple(map(_step, store.db.execute("SELECT * FROM build_cache ORDER BY used DESC")))


def add(store: Store, steps: Iterable[CachedStep]) -> None:
    """Remember results; a later one for the same key replaces the earlier."""
    now = time.time()
    rows = [(step.key, step.chain_id, json.dumps(step.facts), step.created or now, now) for step in steps]
    with store.transaction() as db:
        db.executemany("INSERT OR REPLACE INTO build_cache VALUES (?, ?, ?, ?, ?)", rows)


def touch(store: Store, keys: Iterable[str]) -> None:
    """Say that these were used now."""
    now = time.time()
    with store.transaction() as db:
        db.executemany("UPDATE build_cache SET used = ? WHERE key = ?", [(now, key) for key in keys])


def prune(store: Store, unused_since: float | None = None) -> int:
    """Forget the rows not used since then (None: all); returns how many.  Layers are ``layers.collect``'s."""
    with store.transaction(removing=True) as db:
        if unused_since is None:
            return db.execute("DELETE FROM build_cache").rowcount
        return db.execute("DELETE FROM build_cache WHERE used < ?", (unused_since,)).rowcount


def _step(row: sqlite3.Row) -> CachedStep:
    return CachedStep(row["key"], row["chain_id"], json.loads(row["config"]), row["created"], row["used"])
