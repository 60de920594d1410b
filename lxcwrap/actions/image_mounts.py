"""Images that a container mounts: each seen through a layer of the container's own, which stays empty unless ``rw``."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lxcwrap.model.container import ContainerConfig, Mount, MountKind
from lxcwrap.storage.layers import lowers
from lxcwrap.store import images, staging
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

if TYPE_CHECKING:
    from lxcwrap.storage.driver import Driver


def pinned(mounts: tuple[Mount, ...], find: Callable[[str], Image]) -> tuple[Mount, ...]:
    """The mounts with the IDs of their images; ``find`` raises when there is none."""
    return tuple(
        replace(mount, image=find(mount.source).id) if mount.kind is MountKind.IMAGE else mount for mount in mounts
    )


def ids(config: ContainerConfig) -> set[str]:
    """The IDs of the images that are mounted."""
    return {mount.image for mount in config.mounts if mount.kind is MountKind.IMAGE}


def prepare(store: Store, driver: Driver, place: str, config: ContainerConfig, id_base: int | None) -> None:
    """Make in the container's directory what the mounts need that are not there yet."""
    for mount in config.mounts:
        path = f"{place}/images/{_name(mount)}"
        if mount.kind is not MountKind.IMAGE or os.path.exists(path):
            continue
        os.makedirs(f"{place}/images", mode=0o710, exist_ok=True)
        os.chown(f"{place}/images", 0, id_base or 0)
        with staging.directory(store.paths, "image-mount") as staged:
            made = f"{staged}/mount"
            os.mkdir(made, 0o700)
            driver.prepare(made, _lowers(store, mount), id_base)
            os.rename(made, path)


def discard_others(store: Store, place: str, config: ContainerConfig) -> None:
    """Remove what was made for mounts that the container has no longer."""
    wanted = {_name(mount) for mount in config.mounts if mount.kind is MountKind.IMAGE}
    try:
        there = os.listdir(f"{place}/images")
    except FileNotFoundError:
        return
    for name in set(there) - wanted:
        staging.discard(store.paths, f"{place}/images/{name}")


def item(store: Store, container: Container, mount: Mount) -> dict[str, Any]:
    """What the supervisor is told of it."""
    place = f"{store.paths.container(container.id)}/images/{_name(mount)}"
    return {"source": mount.source, "place": place, "lowers": list(_lowers(store, mount))}


def _lowers(store: Store, mount: Mount) -> tuple[str, ...]:
    return lowers(store, images.get(store, mount.image).chain_id)


def _name(mount: Mount) -> str:
    """Of its directory: another image at the same place, or the same one elsewhere, has another."""
    return f"{mount.image[7:23]}-{zlib.crc32(mount.target.encode()):08x}"
