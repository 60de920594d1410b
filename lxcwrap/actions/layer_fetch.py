"""Layers from a registry into staged directories: several downloaded and several extracted side by side.

Each layer goes download → decompress → extract as one stream, hashed before and after decompression, in
threads that only handle files; what they made is entered into the state by the caller.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from lxcwrap.actions.layer_unpack import unpack
from lxcwrap.actions.progress import Progress
from lxcwrap.model.image import Descriptor
from lxcwrap.model.paths import Paths
from lxcwrap.registry.client import Client
from lxcwrap.registry.download import Download
from lxcwrap.registry.failure import Unreachable
from lxcwrap.storage.driver import Driver
from lxcwrap.store import partial
from lxcwrap.store.layers import Layer

DOWNLOADS = 3  # layers that come in at the same time
EXTRACTIONS = 3


@dataclass(frozen=True)
class Wanted:
    """A layer that is not here: where its tar is, and what it must be."""

    blob: Descriptor
    diff_id: str
    chain_id: str
    parent: str | None

    @property
    def name(self) -> str:
        return self.blob.digest[7:19]


class _Incoming:
    """One blob being downloaded; ``begun`` is set when ``download`` is there, or never will be."""

    def __init__(self, blob: Descriptor) -> None:
        self.blob = blob
        self.begun = threading.Event()
        self.download: Download | None = None
        self.error: OSError | None = None


class Fetch:
    """All missing layers of one image."""

    def __init__(
        self, paths: Paths, client: Client, driver: Driver, wanted: tuple[Wanted, ...], progress: Progress
    ) -> None:
        self._paths = paths
        self._client = client
        self._driver = driver
        self._progress = progress
        self._wanted = wanted
        self._error: BaseException | None = None
        self._incoming = {layer.blob.digest: _Incoming(layer.blob) for layer in wanted}

    @property
    def resumed(self) -> bool:
        """Whether something of an earlier attempt was used."""
        return any(item.download and item.download.resumed for item in self._incoming.values())

    def run(self, stage: str, enter: Callable[[Layer, str], None]) -> None:
        """Calls ``enter`` with each layer, lowest first, and its staged directory as soon as it is whole.

        The caller holds the downloads' locks.  Raises Corrupt, Unsafe, RegistryError or OSError; then nothing
        goes on in the background.
        """
        self._client.transport.restart()
        for layer in self._wanted:
            self._progress.state(layer.name, "Pulling fs layer")
        with ThreadPoolExecutor(DOWNLOADS) as fetchers, ThreadPoolExecutor(EXTRACTIONS) as extractors:
            try:
                for item in self._incoming.values():
                    fetchers.submit(self._fetch, item)
                places = [f"{stage}/{number}" for number in range(len(self._wanted))]
                jobs = [extractors.submit(self._extract, *pair) for pair in zip(self._wanted, places, strict=True)]
                for job in jobs:
                    job.add_done_callback(self._note)
                for job in jobs:
                    enter(*job.result())
            except BaseException as error:
                self._stop()
                for pool in (fetchers, extractors):
                    pool.shutdown(cancel_futures=True)
                self._close()
                if self._error and isinstance(error, Exception):
                    raise self._error from None
                raise
        self._close()
        for item in self._incoming.values():
            partial.adopt(self._paths, item.blob.digest)

    def discard(self) -> None:
        """Keep nothing of what came in."""
        for digest in self._incoming:
            partial.discard(self._paths, digest)

    def _note(self, job: Future[tuple[Layer, str]]) -> None:
        """The first failure ends the others, whose errors then say nothing."""
        error = None if job.cancelled() else job.exception()
        if error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._error:
            self._error = error
            self._stop()

    def _stop(self) -> None:
        self._client.transport.stop()
        for item in self._incoming.values():
            item.begun.set()

    def _close(self) -> None:
        for item in self._incoming.values():
            if item.download:
                item.download.content.close()

    def _fetch(self, item: _Incoming) -> None:
        try:
            partial.reuse(self._paths, item.blob.digest)
            path = partial.path(self._paths, item.blob.digest)
            item.download = Download(self._client, item.blob, path, self._client.transport.stopped)
        except OSError as error:
            item.error = error
            return
        finally:
            item.begun.set()
        name, total = item.blob.digest[7:19], item.blob.size
        if item.download.run(lambda done: self._progress.advance(name, "Downloading", done, total)):
            self._progress.state(name, "Download complete")

    def _extract(self, layer: Wanted, staged: str) -> tuple[Layer, str]:
        item = self._incoming[layer.blob.digest]
        item.begun.wait()
        if not item.download:
            raise item.error or Unreachable(f"registry {self._client.domain}: stopped")
        content, total = item.download.content, layer.blob.size

        def advance(done: int) -> None:
            if content.size == total:  # until then the download is what is shown
                self._progress.advance(layer.name, "Extracting", done, total)

        what = f"layer {layer.blob.digest}"
        size = unpack(self._driver, content, staged, layer.diff_id, what=what, advance=advance, failed=self._fail)
        self._progress.state(layer.name, "Pull complete")
        return Layer(layer.chain_id, layer.diff_id, layer.parent, size), staged
