"""What a container's mounts come from, as its supervisor is told; nothing is mounted here."""

from __future__ import annotations

import os
from typing import Any

from lxcwrap.errors import LxcwrapError, NotFound
from lxcwrap.model.container import Mount, MountKind
from lxcwrap.store import volumes
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

Sources = dict[Mount, dict[str, Any]]


def found(store: Store, container: Container) -> Sources:
    """Of all mounts but those in memory.  Raises NotFound, UsageError or RuntimeFailure."""
    sources: Sources = {}
    for mount in container.config.mounts:
        if mount.kind is MountKind.VOLUME:
            sources[mount] = _volume(store, container, mount)
        elif mount.kind is MountKind.BIND:
            sources[mount] = {"source": _bind(store, mount)}
        elif mount.kind is MountKind.IMAGE:
            sources[mount] = _image(store, container, mount)
    return sources


def there(store: Store, container: Container) -> Sources:
    """Of those mounts whose source is there now; nothing is made, and no volume is filled."""
    sources: Sources = {}
    for mount in container.config.mounts:
        try:
            if mount.kind is MountKind.VOLUME:
                source = _volume(store, container, mount) | {"copy_up": ""}
                if source.get("filesystem", {}).get("type") != "tmpfs":  # which is empty, as other memory
                    sources[mount] = source
            elif mount.kind is MountKind.BIND and os.path.exists(mount.source):
                sources[mount] = {"source": mount.source}
            elif mount.kind is MountKind.IMAGE:
                sources[mount] = _image(store, container, mount)
        except LxcwrapError:
            continue
    return sources


def _volume(store: Store, container: Container, mount: Mount) -> dict[str, Any]:
    volume = volumes.get(store, mount.source)
    fill = not volume.filled and not mount.no_copy and not mount.subpath
    known = {
        "source": store.paths.volume(volume.name),
        "copy_up": store.paths.volume_marker(volume.name) if fill else "",
    }
    if not volume.options:
        return known
    from lxcwrap.actions import volume_sources

    return known | volume_sources.item(store, volume, mount, f"{store.paths.container(container.id)}/volumes")


def _bind(store: Store, mount: Mount) -> str:
    if not os.path.lexists(mount.source) and not _content(store, mount):
        if not mount.create_source:
            raise NotFound(f"bind source path does not exist: {mount.source}", exit_code=125)
        os.makedirs(mount.source, exist_ok=True)
    if {"slave", "rslave"} & set(mount.options):
        from lxcwrap.kernel import mountinfo

        holder = mountinfo.holding(os.path.realpath(mount.source))
        if not holder.propagates:
            raise NotFound(
                f"{mount.source}: the mount at {holder.path} passes nothing on, so that there is nothing to follow",
                hint=f"make it shared first: mount --make-rshared {holder.path}",
                exit_code=125,
            )
    return mount.source


def _content(store: Store, mount: Mount) -> bool:
    """Make the file of a secret or config anew, from what this host still has of it."""
    from lxcwrap.actions.app_end import contents

    return contents.provide(store.paths, mount.source)


def _image(store: Store, container: Container, mount: Mount) -> dict[str, Any]:
    from lxcwrap.actions import image_mounts

    return image_mounts.item(store, container, mount)
