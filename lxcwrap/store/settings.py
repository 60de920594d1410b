"""Facts about one state root, such as its storage driver."""

from __future__ import annotations

from lxcwrap.store.database import Store


def get(store: Store, name: str) -> str | None:
    row = store.db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row["value"] if row else None


def put(store: Store, name: str, value: str) -> None:
    with store.transaction() as db:
        db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))
