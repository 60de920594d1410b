"""Which container a word means, without reading what it is: for commands that only talk to its supervisor."""

from __future__ import annotations

import re
from typing import NamedTuple

from lxcwrap.errors import Conflict, NotFound
from lxcwrap.store.database import Store


class Named(NamedTuple):
    """A container's ID and name."""

    id: str
    name: str


def resolve(store: Store, text: str) -> Named:
    """By full ID, name, or unambiguous ID prefix, as ``containers.resolve``.  Raises NotFound or Conflict."""
    row = store.db.execute(
        "SELECT id, name FROM containers WHERE id = ? OR name = ? ORDER BY id = ? DESC",
        (text, text.removeprefix("/"), text),
    ).fetchone()
    if row:
        return Named(row["id"], row["name"])
    if re.fullmatch(r"[0-9a-f]{1,64}", text):
        query = "SELECT id, name FROM containers WHERE id >= ? AND id < ? LIMIT 2"
        rows = store.db.execute(query, (text, text + "g")).fetchall()
        if len(rows) > 1:
            raise Conflict(f"container ID prefix {text} is ambiguous", hint="give more digits")
        if rows:
            return Named(rows[0]["id"], rows[0]["name"])
    raise NotFound(f"no such container: {text}")
