"""The compressed forms of layers, for several readers at once: a kept blob, or a gzip that is made once for all."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Protocol

from lxcwrap.actions.image_offer import Form
from lxcwrap.actions.layer_pack import pack
from lxcwrap.archive.growing import CHUNK, Growing
from lxcwrap.model.image import OCI_LAYER_GZIP
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs, layers
from lxcwrap.store.database import Store
from lxcwrap.store.layers import Layer, LayerBlob


class Content(Protocol):
    """One form.  ``read_at`` gives b'' at the end, and only then are digest and size those of the whole."""

    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...
    def read_at(self, offset: int, size: int) -> bytes: ...
    def close(self) -> None: ...


class _Kept:
    """A blob's file."""

    def __init__(self, path: str, form: Form) -> None:
        self.digest, self.size = form.digest, form.size
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close

    def read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        self._file.close()


def begins_with(content: Content, size: int, digest: str) -> bool:
    """Whether the first ``size`` bytes, as far as there are as many, have that digest."""
    found, offset = hashlib.sha256(), 0
    while offset < size and (piece := content.read_at(offset, min(CHUNK, size - offset))):
        found.update(piece)
        offset += len(piece)
    return offset == size and f"sha256:{found.hexdigest()}" == digest


class Contents:
    """Those of some layers, opened when the first reader comes; called from several threads.  Close it."""

    def __init__(self, store: Store, driver: Driver, stack: tuple[Layer, ...], stage: str) -> None:
        self._store = store
        self._driver = driver
        self._stage = stage
        self._layers = {layer.diff_id: layer for layer in stack}
        self.forms = {diff_id: _form(store, layer) for diff_id, layer in self._layers.items()}
        self._lock = threading.Lock()
        self._opened: dict[str, Content] = {}
        self._makers: dict[str, tuple[threading.Thread, Growing]] = {}

    def about(self, diff_id: str) -> int:
        """The bytes that it will have, or a guess."""
        return self.forms[diff_id].size or self._layers[diff_id].size

    def open(self, diff_id: str) -> Content:
        """Raises OSError."""
        with self._lock:
            if diff_id not in self._opened:
                form = self.forms[diff_id]
                path = self._store.paths.blob(form.digest) if form.digest else ""
                self._opened[diff_id] = _Kept(path, form) if path else self._made(self._layers[diff_id])
            return self._opened[diff_id]

    def _made(self, layer: Layer) -> Growing:
        content = Growing(f"{self._stage}/{len(self._makers)}")
        maker = threading.Thread(target=pack, args=(self._store, self._driver, layer, content), daemon=True)
        self._makers[layer.diff_id] = maker, content
        maker.start()
        return content

    def keep_made(self) -> None:
        """What was made whole becomes a blob here, for the next copy or push."""
        for diff_id, (maker, content) in self._makers.items():
            if content.is_whole:
                maker.join()
                blobs.adopt(self._store.paths, content.path, content.digest)
                blob = LayerBlob(content.digest, diff_id, OCI_LAYER_GZIP, content.size, canonical=True)
                layers.add_blob(self._store, blob)

    def close(self) -> None:
        """What is still being made is given up."""
        for content in self._opened.values():
            content.close()
        for maker, _ in self._makers.values():
            maker.join()


def _form(store: Store, layer: Layer) -> Form:
    """A compressed form whose file is here, or one to be made."""
    for blob in layers.blobs_of(store, layer.diff_id):
        if blob.digest != layer.diff_id and blobs.exists(store.paths, blob.digest):
            return Form(layer.diff_id, blob.digest, blob.media_type, blob.size)
    return Form(layer.diff_id)
