"""Releases of applications, as they are recorded on a host."""

from __future__ import annotations

import json
import time
from typing import Any

from lxcwrap.errors import UsageError
from lxcwrap.store.database import Store

KEPT = 20
STATUSES = ("started", "done", "failed", "rolled-back")


def put(store: Store, app: str, record: dict[str, Any]) -> int:
    """Record it, in place of an earlier record of its number; without a number it gets the next.  Returns it.

    Raises UsageError.
    """
    number = record.get("number", 0)
    if type(number) is not int or number < 0:
        raise UsageError(f"a release's number is not {number!r:.40}")
    if record.get("status") not in STATUSES:
        raise UsageError(f"a release's status is one of {', '.join(STATUSES)}, not {record.get('status')!r:.40}")
    with store.transaction() as db:
        number = number or last(store, app) + 1
        text = json.dumps({"time": time.time(), **record, "number": number})
        db.execute("INSERT OR REPLACE INTO releases VALUES (?, ?, ?)", (app, number, text))
        db.execute(
            """
            DELETE FROM releases WHERE app = :app AND number NOT IN
                (SELECT number FROM releases WHERE app = :app ORDER BY number DESC LIMIT :kept)
            """,
            {"app": app, "kept": KEPT},
        )
    return number


def listing(store: Store, app: str) -> list[dict[str, Any]]:
    """Newest first."""
    rows = store.db.execute("SELECT record FROM releases WHERE app = ? ORDER BY number DESC", (app,))
    return [json.loads(row["record"]) for row in rows]


def last(store: Store, app: str) -> int:
    """The newest one's number; 0 without any."""
    row = store.db.execute("SELECT MAX(number) AS number FROM releases WHERE app = ?", (app,)).fetchone()
    return row["number"] or 0
