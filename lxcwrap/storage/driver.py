"""Layer drivers: one module each in this folder, found by its name.

A driver is a module with ``RANK`` (the lower, the sooner it is chosen), ``APART`` and the functions of ``Driver``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from lxcwrap.errors import Conflict, Unsupported, UsageError
from lxcwrap.store import settings, staging
from lxcwrap.store.database import Store

if TYPE_CHECKING:
    from lxcwrap.archive.compression import Sink, Source
    from lxcwrap.storage.changes import Change

_SETTING = "storage-driver"
_NOT_DRIVERS = ("driver", "layers", "changes", "probe", "below", "upper")


class Driver(Protocol):
    """What a driver does.

    Plain paths throughout.  ``place``: the container's directory.  ``lowers``: the layers' ``diff`` directories,
    lowest first.  ``id_base``: host id of the container's root, None without a user namespace.
    """

    RANK: int
    APART: bool  # a container's changes are kept apart from the layers, so that others can go below them

    def unsupported(self, directory: str = "") -> str:
        """Why the driver does not work here, with state in ``directory``; '' when it does."""

    def no_user_namespaces(self, directory: str) -> str:
        """Why containers cannot have user namespaces with this driver; '' when they can."""

    def prepare(self, place: str, lowers: tuple[str, ...], id_base: int | None) -> None:
        """Make in ``place`` what ``mount`` needs: once, when the container is created."""

    def mount(
        self, place: str, lowers: tuple[str, ...], target: str, id_base: int | None, *, volatile: bool = False
    ) -> None:
        """Mount the root file system at ``target`` in the caller's own mount namespace.  Raises OSError."""

    def changes(self, place: str, lowers: tuple[str, ...], id_base: int | None) -> Iterator[Change]:
        """What the container changed, sorted by path."""

    def write_diff(self, place: str, lowers: tuple[str, ...], id_base: int | None, out: Sink) -> None:
        """The changes as a layer's tar, ids as in the container."""

    def extract(self, stream: Source, staged: str) -> int:
        """A layer's tar, uncompressed, into ``<staged>/diff``; returns the bytes read."""

    def seal(
        self, place: str, staged: str, lowers: tuple[str, ...], id_base: int | None, *, latest: int | None = None
    ) -> None:
        """Turn a finished container's changes into ``<staged>/diff``; the container is of no use afterwards.

        ``latest``: the latest time (seconds since the epoch) that a file keeps.
        """

    def write_layer(self, directory: str, out: Sink) -> None:
        """The canonical tar of a layer's ``diff`` directory."""


def names() -> tuple[str, ...]:
    """All drivers, the preferred first."""
    found = [name[:-3] for name in os.listdir(os.path.dirname(__file__)) if name.endswith(".py") and name[0] != "_"]
    return tuple(sorted((name for name in found if name not in _NOT_DRIVERS), key=lambda name: load(name).RANK))


def load(name: str) -> Driver:
    """The driver of that name.  Raises UsageError."""
    if not name.isidentifier() or name in _NOT_DRIVERS:
        raise _unknown(name)
    try:
        return cast(Driver, import_module(f"lxcwrap.storage.{name}"))
    except ModuleNotFoundError:
        raise _unknown(name) from None


def _unknown(name: str) -> UsageError:
    return UsageError(f"no storage driver {name!r}", hint=f"there are {', '.join(names())}")


def name_of(driver: Driver) -> str:
    """What ``load`` knows it by."""
    return str(getattr(driver, "__name__", "")).rpartition(".")[2]


def choose(store: Store, requested: str | None) -> Driver:
    """The state root's driver: the recorded one, or at first use the requested or the best that works.

    Raises Conflict when another is recorded, Unsupported when none (or not the requested one) works, UsageError.
    """
    recorded = settings.get(store, _SETTING)
    if recorded is None:
        recorded = _first_choice(store, requested)
    if requested and requested != recorded:
        load(requested)
        raise Conflict(
            f"{store.paths.root} uses the storage driver {recorded}, not {requested}",
            hint="leave out --storage-driver, or choose another --root",
        )
    return load(recorded)


def _first_choice(store: Store, requested: str | None) -> str:
    """Try them on the state's file system, and record the one that works."""
    reasons: list[str] = []
    with staging.directory(store.paths, "probe") as directory:
        for name in (requested,) if requested else names():
            reason = load(name).unsupported(directory)
            if not reason:
                break
            reasons.append(f"{name}: {reason}")
        else:
            what = "storage driver" if requested else f"no storage driver works on {store.paths.root}:"
            raise Unsupported(f"{what} {'; '.join(reasons)}")
    with store.transaction():
        recorded = settings.get(store, _SETTING)  # another process may have been first
        if recorded is None:
            settings.put(store, _SETTING, name)
    return recorded or name


def no_user_namespaces(store: Store, driver: Driver) -> str:
    """Why containers here have none; '' when they can.  Tried once per kernel, then remembered."""
    setting = f"no-user-namespaces {name_of(driver)} {os.uname().release}"
    known = settings.get(store, setting)
    if known is None:
        with staging.directory(store.paths, "probe") as directory:
            known = driver.no_user_namespaces(directory)
        settings.put(store, setting, known)
    return known
