"""One layer to a registry, by the cheapest way there is: there already, mounted, sent as kept, or compressed now."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from lxcwrap.actions.layer_pack import pack
from lxcwrap.actions.progress import Progress
from lxcwrap.archive.growing import Growing
from lxcwrap.model.image import OCI_LAYER_GZIP
from lxcwrap.registry import upload
from lxcwrap.registry.client import Client
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs
from lxcwrap.store.database import Store
from lxcwrap.store.layers import Layer, LayerBlob


@dataclass(frozen=True)
class Outgoing:
    """A layer, its known compressed forms each with the repositories that hold it, and a path for a new one."""

    layer: Layer
    known: tuple[tuple[LayerBlob, tuple[str, ...]], ...]
    path: str

    @property
    def name(self) -> str:
        return self.layer.diff_id[7:19]


@dataclass(frozen=True)
class Sent:
    """The blob that the registry has now; ``made`` is its staged file when it was made for this."""

    diff_id: str
    blob: LayerBlob
    made: str = ""


class Sender:
    """Sends layers of one image; used from several threads, changes nothing in the state."""

    def __init__(self, store: Store, driver: Driver, client: Client, progress: Progress) -> None:
        self._store = store
        self._driver = driver
        self._client = client
        self._progress = progress

    def send(self, item: Outgoing) -> Sent:
        """Raises RegistryError, Corrupt or OSError."""
        self._progress.state(item.name, "Preparing")
        known = self._there(item) or self._mounted(item) or self._kept(item)
        return Sent(item.layer.diff_id, known) if known else self._compressed(item)

    def _there(self, item: Outgoing) -> LayerBlob | None:
        for blob, _ in item.known:
            if upload.has(self._client, blob.digest):
                self._progress.state(item.name, "Layer already exists")
                return blob
        return None

    def _mounted(self, item: Outgoing) -> LayerBlob | None:
        for blob, repositories in item.known:
            for repository in repositories:
                domain, _, path = repository.partition("/")
                elsewhere = domain == self._client.domain and path != self._client.path
                if elsewhere and upload.mount(self._client, blob.digest, path):
                    self._progress.state(item.name, f"Mounted from {path}")
                    return blob
        return None

    def _kept(self, item: Outgoing) -> LayerBlob | None:
        for blob, _ in item.known:
            if blobs.exists(self._store.paths, blob.digest) and blob.digest != item.layer.diff_id:
                path = self._store.paths.blob(blob.digest)
                upload.send_file(self._client, blob.digest, path, self._advance(item, blob.size))
                self._progress.state(item.name, "Pushed")
                return blob
        return None

    def _advance(self, item: Outgoing, total: int) -> upload.Advance:
        return lambda done: self._progress.advance(item.name, "Pushing", done, total)

    def _compressed(self, item: Outgoing) -> Sent:
        """Compress and send at once; the file stays."""
        content = Growing(item.path)
        maker = threading.Thread(target=pack, args=(self._store, self._driver, item.layer, content), daemon=True)
        maker.start()
        try:
            upload.send_growing(self._client, content, self._advance(item, item.layer.size))
            content.wait()
        finally:
            maker.join()
            content.close()
        self._progress.state(item.name, "Pushed")
        blob = LayerBlob(content.digest, item.layer.diff_id, OCI_LAYER_GZIP, os.path.getsize(item.path), canonical=True)
        return Sent(item.layer.diff_id, blob, item.path)
