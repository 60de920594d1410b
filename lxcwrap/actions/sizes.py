"""Bytes that containers and volumes use."""

from __future__ import annotations

import os

from lxcwrap.model.units import show_bytes
from lxcwrap.store import layers
from lxcwrap.store.database import Store
from lxcwrap.store.overview import Overview


def tree(path: str) -> int:
    """Bytes of the files beneath ``path``, each inode counted once; 0 where there is nothing."""
    total = 0
    seen: set[tuple[int, int]] = set()
    pending = [path]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif (status.st_dev, status.st_ino) not in seen:
                        seen.add((status.st_dev, status.st_ino))
                        total += status.st_size
        except (FileNotFoundError, NotADirectoryError):
            continue  # it went away while we looked
    return total


def writable(store: Store, container: Overview) -> int:
    """Bytes that the container wrote over its image (``SizeRw``); vfs: of its whole copy beyond the image's."""
    place = store.paths.container(container.id)
    upper = f"{place}/upper"
    if os.path.isdir(upper):
        return tree(upper)
    return max(tree(f"{place}/rootfs") - image(store, container), 0)


def image(store: Store, container: Overview) -> int:
    """Bytes of the layers beneath the container."""
    return sum(layer.size for layer in layers.stack(store, container.chain_id))


def size_text(store: Store, container: Overview) -> str:
    """``1.2kB (virtual 77.8MB)``."""
    used = writable(store, container)
    return f"{show_bytes(used)} (virtual {show_bytes(used + image(store, container))})"
