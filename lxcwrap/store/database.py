"""The state's SQLite database: opened, migrated, and changed in transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lxcwrap.errors import Corrupt, LxcwrapError, NoSpace, NotPermitted, Unsupported
from lxcwrap.kernel import journal, lock
from lxcwrap.model.paths import Paths
from lxcwrap.store import reserve
from lxcwrap.store.migrations import MIGRATIONS

BUSY_TIMEOUT = 60.0  # seconds that a writer waits for another
WAL_SIZE = 800_000  # bytes; a command that runs alone reads the whole log before its first query


class Store:
    """An open state root.  ``db`` has rows that are reached by name; every change goes through ``transaction``."""

    def __init__(self, paths: Paths) -> None:
        """Opens the state, making it on first use.

        Raises NotPermitted, Unsupported (a newer program's state) or Corrupt.
        """
        self.paths = paths
        self._news: list[tuple[str, str, str, Mapping[str, str]]] = []
        try:
            self.db = _open(paths)
        except PermissionError:
            raise NotPermitted(f"no access to {paths.root}", hint="lxcwrap needs root: try sudo") from None
        except sqlite3.DatabaseError as error:
            raise translate(error, paths) from error

    @contextmanager
    def transaction(self, *, removing: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing, and alone: other writers wait.  Nested use joins the outer transaction.

        One that is ``removing`` something succeeds on a full disk, too.
        """
        if removing:
            reserve.release(self.paths)
        if self.db.in_transaction:
            yield self.db
            return
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield self.db
            self.db.execute("COMMIT")
        except BaseException as error:
            self._news.clear()
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError) and not isinstance(
                error, sqlite3.IntegrityError
            ):
                raise translate(error, self.paths) from error
            raise
        if os.stat(self.paths.database + "-wal").st_size > WAL_SIZE:
            self._empty_log()
        if not removing:
            reserve.keep(self.paths)
        self._publish()

    def _empty_log(self) -> None:
        """Move the log's pages into the database, unless others are reading; then the next writer tries again."""
        self.db.execute("PRAGMA busy_timeout = 0")
        try:
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:  # a full disk, say: what was committed is safe in the log
            pass
        self.db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")

    def event(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """Say in the journal what happened; in a transaction, once that is committed."""
        self._news.append((kind, action, actor, attributes))
        if not self.db.in_transaction:
            self._publish()

    def _publish(self) -> None:
        news, self._news = self._news, []
        for item in news:
            journal.record(self.paths.events, *item)

    def close(self) -> None:
        self.db.close()


def _open(paths: Paths) -> sqlite3.Connection:
    """Opening needs some space when nobody else has it open: the log and its index are made anew."""
    try:
        return _connect(paths)
    except sqlite3.OperationalError as error:
        if not _is_full(error, paths):
            raise
        reserve.release(paths)
        return _connect(paths)


def _is_full(error: sqlite3.Error, paths: Paths) -> bool:
    """SQLite calls it an I/O error when its index of the log cannot be made."""
    return "full" in str(error) or ("disk I/O error" in str(error) and reserve.is_needed(paths))


def _connect(paths: Paths) -> sqlite3.Connection:
    if not os.path.exists(paths.database):
        _make_directories(paths)
    db = sqlite3.connect(paths.database, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA wal_autocheckpoint = 0")  # it never empties a log that each process opens anew
    db.execute("PRAGMA synchronous = FULL")  # some SQLites are built with less: what a command says is done stays
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version < len(MIGRATIONS):
        with lock.held(f"{paths.locks}/schema"):  # changing to WAL, SQLite does not wait for another who does it
            _migrate(db)
    elif version > len(MIGRATIONS):
        raise Unsupported(
            f"{paths.database} was written by a newer lxcwrap (schema {version}, this one knows {len(MIGRATIONS)})",
            hint="upgrade lxcwrap on this host",
        )
    return db


def _make_directories(paths: Paths) -> None:
    os.makedirs(paths.root, mode=0o711, exist_ok=True)
    for name in ("blobs/sha256", "layers", "containers", "volumes", "tmp", "locks"):
        os.makedirs(f"{paths.root}/{name}", mode=0o711, exist_ok=True)
    os.chmod(f"{paths.root}/volumes", 0o700)  # root's setuid files in them are root's on the host: for containers only
    descriptor = os.open(paths.database, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    os.close(descriptor)


def _migrate(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        done = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been first
        for step in MIGRATIONS[done:]:
            for statement in step.split(";\n"):
                if statement.strip():
                    db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def translate(error: sqlite3.Error, paths: Paths) -> LxcwrapError:
    """SQLite's failures in the user's words."""
    text = str(error)
    if _is_full(error, paths):
        return NoSpace(f"the disk that holds {paths.root} is full", hint="free some space: lxcwrap image prune")
    if "readonly" in text or "unable to open" in text:
        return NotPermitted(f"cannot write {paths.database}", hint="lxcwrap needs root: try sudo")
    if "locked" in text:
        return _locked(paths)
    return Corrupt(f"{paths.database}: {text}")


def _locked(paths: Paths) -> LxcwrapError:
    from lxcwrap.kernel import holder

    holders = [pid for pid in holder.of(f"{paths.database}-shm") if pid != os.getpid()]
    stopped = next(filter(holder.is_stopped, holders), 0)
    if stopped:
        return holder.stopped(paths.database, stopped)
    others = ", ".join(map(holder.named, holders)) or "another lxcwrap process"
    return LxcwrapError(f"{paths.database} stayed locked for {BUSY_TIMEOUT:.0f} s by {others}")
