"""Layers between the store and the drivers: made from streams and containers, and given out as tars."""

from __future__ import annotations

import os
import threading

from lxcwrap.archive import compression
from lxcwrap.archive.checked import CheckedReader, HashingWriter
from lxcwrap.archive.compression import Source
from lxcwrap.archive.pipeline import Channel, ahead, behind
from lxcwrap.errors import Unsafe
from lxcwrap.model import digest as digests
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs, staging
from lxcwrap.store import layers as stored
from lxcwrap.store.database import Store
from lxcwrap.store.layers import Layer

MOST = 500  # overlay's own limit (OVL_MAX_STACK)


def lowers(store: Store, chain_id: str | None) -> tuple[str, ...]:
    """The ``diff`` directories of a stack, lowest first.  Raises Unsafe for a stack that no kernel mounts."""
    stack = stored.stack(store, chain_id)
    if len(stack) > MOST:
        raise Unsafe(f"{len(stack)} layers are more than the {MOST} that overlay can stack")
    return tuple(f"{store.paths.layer(layer.chain_id)}/diff" for layer in stack)


def add_stream(store: Store, driver: Driver, stream: Source, parent_chain: str | None) -> Layer:
    """Store an uncompressed tar as a layer on ``parent_chain``.

    Its diff ID is that of the canonical tar, which may differ from the stream's.  The caller is ``keeping``.
    """
    with staging.directory(store.paths, "layer") as place:
        staged = f"{place}/layer"
        os.mkdir(staged, 0o700)
        with ahead(stream) as source:
            driver.extract(source, staged)
        return _add(store, driver, staged, parent_chain)


def add_sealed(
    store: Store,
    driver: Driver,
    place: str,
    lowers: tuple[str, ...],
    id_base: int | None,
    parent_chain: str | None,
    *,
    latest: int | None = None,
) -> Layer:
    """Make the changes of a finished container a layer on ``parent_chain``; see ``Driver.seal``."""
    with staging.directory(store.paths, "layer") as staging_place:
        staged = f"{staging_place}/layer"
        os.mkdir(staged, 0o700)
        driver.seal(place, staged, lowers, id_base, latest=latest)
        return _add(store, driver, staged, parent_chain)


def _add(store: Store, driver: Driver, staged: str, parent_chain: str | None) -> Layer:
    counted = HashingWriter()
    with behind(counted) as out:
        driver.write_layer(f"{staged}/diff", out)
    layer = Layer(chain_id(parent_chain, counted.digest), counted.digest, parent_chain, counted.size)
    stored.add(store, layer, staged)
    return layer


def chain_id(parent_chain: str | None, diff_id: str) -> str:
    """Of a layer with that diff ID on a stack (OCI config.md, "Layer ChainID")."""
    return diff_id if parent_chain is None else digests.of(f"{parent_chain} {diff_id}".encode())


def tar(store: Store, driver: Driver, layer: Layer) -> LayerTar:
    """The layer's tar, uncompressed, to be read inside ``with``: from a kept blob, or written anew.

    Reading raises Corrupt at the end when it does not match the diff ID.
    """
    for blob in stored.blobs_of(store, layer.diff_id):
        if blobs.exists(store.paths, blob.digest):
            return LayerTar(layer, path=store.paths.blob(blob.digest))
    return LayerTar(layer, driver, f"{store.paths.layer(layer.chain_id)}/diff")


class LayerTar:
    """A stream of a layer's tar; see ``tar``."""

    def __init__(self, layer: Layer, driver: Driver | None = None, path: str = "") -> None:
        self._layer = layer
        self._driver = driver
        self._path = path

    def __enter__(self) -> LayerTar:
        self._channel = Channel()
        self._thread: threading.Thread | None = None
        self._file = None
        if self._driver is None:
            self._file = open(self._path, "rb", buffering=0)
            source = compression.reader(self._file)
        else:
            self._thread = threading.Thread(target=self._channel.fill, args=(self._write,), daemon=True)
            self._thread.start()
            source = self._channel
        self._checked = CheckedReader(source, self._layer.diff_id, self._layer.size, "the tar of layer")
        return self

    def _write(self, out: compression.Sink) -> None:
        assert self._driver is not None
        self._driver.write_layer(self._path, out)

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; b'' at the end."""
        return self._checked.read(size)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._thread is not None:
            self._channel.stop(self._thread)
