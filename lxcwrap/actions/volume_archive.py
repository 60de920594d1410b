"""``volume export`` and ``volume import``: a volume's files as a tar, and back."""

from __future__ import annotations

import os

from lxcwrap.actions import volume_sources
from lxcwrap.archive import compression
from lxcwrap.archive.compression import Sink, Source
from lxcwrap.archive.extract import extract
from lxcwrap.archive.write import write_tree
from lxcwrap.kernel.process import syncfs
from lxcwrap.model.names import check_name
from lxcwrap.store import staging, volumes
from lxcwrap.store.database import Store
from lxcwrap.store.volumes import Volume


def export(store: Store, name: str, out: Sink) -> None:
    """The volume's files as a tar, with the ids that containers see.  Raises NotFound."""
    with volume_sources.opened(store, volumes.get(store, name)) as path:
        write_tree(path, out)


def import_volume(store: Store, name: str, stream: Source, *, labels: tuple[tuple[str, str], ...] = ()) -> Volume:
    """A new volume with the files of a tar, compressed or not.

    Raises UsageError, Conflict, Corrupt or Unsafe; then there is no such volume.
    """
    volumes.check_free(store, check_name(name, "volume"))
    with staging.directory(store.paths, "volume") as place:
        content = f"{place}/content"
        os.mkdir(content, 0o755)
        descriptor = os.open(content, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            extract(compression.reader(stream), descriptor)
            syncfs(descriptor)
        finally:
            os.close(descriptor)
        return volumes.adopt(store, name, content, labels=labels)
