"""Where one step does its work: a directory with the layers so far below it, mounted or handed to a container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lxcwrap.kernel import mount
from lxcwrap.store.database import Store

if TYPE_CHECKING:
    from lxcwrap.storage.driver import Driver


@dataclass(frozen=True)
class Workspace:
    """``place`` as the storage driver prepared it; ``id_base`` None: files have the ids they will have."""

    driver: Driver
    place: str
    lowers: tuple[str, ...]
    id_base: int | None

    @contextmanager
    def mounted(self) -> Iterator[str]:
        """The rootfs, mounted in the calling thread's own mount namespace."""
        target = f"{self.place}/rootfs"
        os.makedirs(target, 0o755, exist_ok=True)
        self.driver.mount(self.place, self.lowers, target, self.id_base, volatile=True)
        try:
            yield target
        finally:
            mount.umount(target, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)

    def seal(self, store: Store, chain_id: str | None, epoch: int | None) -> str | None:
        """Make a layer of what changed; returns the new chain ID, or the old one when nothing did."""
        if next(iter(self.driver.changes(self.place, self.lowers, self.id_base)), None) is None:
            return chain_id
        from lxcwrap.storage import layers as layer_storage

        layer = layer_storage.add_sealed(
            store, self.driver, self.place, self.lowers, self.id_base, chain_id, latest=epoch
        )
        return layer.chain_id


def prepare(store: Store, driver: Driver, place: str, chain_id: str | None, id_base: int | None) -> Workspace:
    """A workspace on top of the layers of ``chain_id``."""
    from lxcwrap.storage import layers as layer_storage  # a build that finds everything in the cache does without

    os.mkdir(place, 0o711)
    lowers = layer_storage.lowers(store, chain_id) if chain_id else ()
    driver.prepare(place, lowers, id_base)
    return Workspace(driver, place, lowers, id_base)
