"""Named and anonymous volumes: a directory each, a row each, and which containers use them."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from lxcwrap.errors import Conflict, NotFound, Unsupported
from lxcwrap.kernel import files, lock
from lxcwrap.model.names import check_name
from lxcwrap.store import staging
from lxcwrap.store.database import Store


@dataclass(frozen=True)
class Volume:
    """A row of the volumes table; its files are in ``paths.volume(name)``.

    ``filled`` is true once the image's content was copied up, or never will be.
    """

    name: str
    driver: str
    labels: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    anonymous: bool
    filled: bool
    created: float  # seconds since the epoch


def create(
    store: Store,
    name: str = "",
    *,
    labels: tuple[tuple[str, str], ...] = (),
    options: tuple[tuple[str, str], ...] = (),
    driver: str = "local",
) -> Volume:
    """The volume of that name, made if it is missing; without a name, a new anonymous one.

    Raises UsageError for a name that is not allowed, Unsupported for a driver other than ``local`` and Conflict for one
    that exists with other options.
    """
    if driver != "local":
        raise Unsupported(f"volume driver {driver!r} is not known", hint="the only driver is local")
    anonymous = not name
    name = check_name(name, "volume", exit_code=1) if name else os.urandom(32).hex()
    with lock.held(_lock(store, name)):
        known = find(store, name)
        if known:
            if options and known.options != options:
                raise Conflict(f"volume {name} exists already, with other options", hint=f"see: volume inspect {name}")
            os.makedirs(store.paths.volume(name), mode=0o755, exist_ok=True)
            return known
        _discard(store, name)  # left by a crash while it was removed
        os.makedirs(store.paths.volume(name), mode=0o755)
        try:
            return _add(store, Volume(name, driver, labels, options, anonymous, False, time.time()))
        except BaseException:
            os.rmdir(store.paths.volume(name))
            raise


def _add(store: Store, volume: Volume) -> Volume:
    with store.transaction() as db:
        db.execute(
            "INSERT INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                volume.name, volume.driver, json.dumps(dict(volume.labels)), json.dumps(dict(volume.options)),
                int(volume.anonymous), int(volume.filled), volume.created,
            ),
        )  # fmt: skip
        store.event("volume", "create", volume.name, {"driver": volume.driver})
    return volume


def adopt(store: Store, name: str, content: str, *, labels: tuple[tuple[str, str], ...] = ()) -> Volume:
    """A new volume whose files are the staged directory ``content``, which is synced.  Raises Conflict."""
    with lock.held(_lock(store, name)):
        check_free(store, name)
        _discard(store, name)
        os.rename(content, store.paths.volume(name))
        files.sync_directory(store.paths.volumes)
        return _add(store, Volume(name, "local", labels, (), False, True, time.time()))


def check_free(store: Store, name: str) -> None:
    """Raises Conflict when there is a volume of the name."""
    if find(store, name):
        raise Conflict(f"volume {name} exists already", hint="choose another name, or remove it first")


def rename(store: Store, name: str, new_name: str) -> None:
    """Give a volume another name.  Raises NotFound, UsageError, or Conflict while a container uses it.

    The row goes first and remembers the old name; whoever looks the volume up finishes what a crash cut.
    """
    get(store, name)
    if check_name(new_name, "volume") == name:
        raise Conflict(f"volume {name} has this name already")
    first, second = sorted((name, new_name))
    with lock.held(_lock(store, first)), lock.held(_lock(store, second)):
        check_free(store, new_name)
        _discard(store, new_name)  # left by a crash while another was removed
        with store.transaction() as db:
            _check_unused(store, name)
            db.execute(
                "UPDATE volumes SET name = ?, moved_from = ?, anonymous = 0 WHERE name = ?", (new_name, name, name)
            )
            store.event("volume", "create", new_name, {"driver": "local"})
        _finish_rename(store, new_name, name)
        os.unlink(_lock(store, name))


def _finish_rename(store: Store, name: str, before: str) -> None:
    if not os.path.exists(store.paths.volume(name)):
        try:
            os.rename(store.paths.volume(before), store.paths.volume(name))
        except FileNotFoundError:  # somebody else was finishing it
            pass
    files.sync_directory(store.paths.volumes)
    with store.transaction() as db:
        db.execute("UPDATE volumes SET moved_from = NULL WHERE name = ?", (name,))


def find(store: Store, name: str) -> Volume | None:
    row = store.db.execute("SELECT * FROM volumes WHERE name = ?", (name,)).fetchone()
    if row and row["moved_from"]:
        _finish_rename(store, name, row["moved_from"])
    return _volume(row) if row else None


def get(store: Store, name: str) -> Volume:
    """Raises NotFound."""
    volume = find(store, name)
    if not volume:
        raise NotFound(f"no such volume: {name}")
    return volume


def listing(store: Store) -> tuple[Volume, ...]:
    """All volumes, by name."""
    return tuple(map(_volume, store.db.execute("SELECT * FROM volumes ORDER BY name")))


def users(store: Store, name: str) -> tuple[str, ...]:
    """The IDs of the containers, running or not, that use a volume."""
    rows = store.db.execute("SELECT container_id FROM container_volumes WHERE volume = ? ORDER BY 1", (name,))
    return tuple(row["container_id"] for row in rows)


def used(store: Store) -> frozenset[str]:
    """The names of all volumes that some container uses."""
    return frozenset(row["volume"] for row in store.db.execute("SELECT DISTINCT volume FROM container_volumes"))


def of_container(store: Store, container_id: str) -> tuple[Volume, ...]:
    """The volumes of one container, by name."""
    rows = store.db.execute(
        """
        SELECT v.* FROM volumes v JOIN container_volumes u ON u.volume = v.name
        WHERE u.container_id = ? ORDER BY v.name
        """,
        (container_id,),
    )
    return tuple(map(_volume, rows))


def attach(store: Store, container_id: str, names: Iterable[str]) -> None:
    """Say that the container uses these volumes, which must exist; its row must exist too.  Raises NotFound."""
    try:
        with store.transaction() as db:
            for name in names:
                db.execute("INSERT OR IGNORE INTO container_volumes VALUES (?, ?)", (container_id, name))
    except sqlite3.IntegrityError:
        raise NotFound(f"a volume of container {container_id[:12]} was removed meanwhile") from None


def detach(store: Store, container_id: str) -> None:
    """Forget what the container uses; removing the container's row does it as well."""
    with store.transaction() as db:
        db.execute("DELETE FROM container_volumes WHERE container_id = ?", (container_id,))


def mark_filled(store: Store, container_id: str) -> None:
    """From now on no image's content is copied into the container's volumes; one in memory is new every time."""
    for volume in of_container(store, container_id):
        if not volume.filled and dict(volume.options).get("type") != "tmpfs":
            with store.transaction() as db:
                db.execute("UPDATE volumes SET filled = 1 WHERE name = ?", (volume.name,))


def remove(store: Store, name: str) -> None:
    """Forget a volume and delete its files.  Raises NotFound, or Conflict while a container uses it."""
    get(store, name)
    with lock.held(_lock(store, name)):
        with store.transaction(removing=True) as db:
            _check_unused(store, name)
            db.execute("DELETE FROM volumes WHERE name = ?", (name,))
            store.event("volume", "destroy", name, {"driver": "local"})
        _discard(store, name)
        os.unlink(_lock(store, name))


def discard_unknown(store: Store) -> None:
    """Remove the directories and markers of volumes that no row knows: a crash came between the two."""
    found = {entry.removeprefix(".filling-") for entry in os.listdir(store.paths.volumes)}
    known = {name for row in store.db.execute("SELECT name, moved_from FROM volumes") for name in row}
    for name in found - known:
        with suppress(lock.Busy), lock.held(_lock(store, name), wait=False):  # else it is being made or removed
            if not _is_known(store, name):
                _discard(store, name)
                os.unlink(_lock(store, name))


def _is_known(store: Store, name: str) -> bool:
    return bool(store.db.execute("SELECT 1 FROM volumes WHERE ? IN (name, moved_from)", (name,)).fetchone())


def _check_unused(store: Store, name: str) -> None:
    holders = users(store, name)
    if holders:
        raise Conflict(
            f"volume {name} is in use by container {', '.join(holder[:12] for holder in holders)}",
            hint="remove the container first",
        )


def _discard(store: Store, name: str) -> None:
    """Delete a volume's files and what a copy that was cut left behind; not those of one that was renamed."""
    for row in store.db.execute("SELECT name FROM volumes WHERE moved_from = ?", (name,)).fetchall():
        _finish_rename(store, row["name"], name)
    staging.discard(store.paths, store.paths.volume(name))
    for path in (store.paths.volume_marker(name), store.paths.volume_holders(name)):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def _lock(store: Store, name: str) -> str:
    return f"{store.paths.locks}/volume-{name}"


def _volume(row: sqlite3.Row) -> Volume:
    return Volume(
        row["name"], row["driver"], tuple(json.loads(row["labels"]).items()), tuple(json.loads(row["options"]).items()),
        bool(row["anonymous"]), bool(row["filled"]), row["created"],
    )  # fmt: skip
