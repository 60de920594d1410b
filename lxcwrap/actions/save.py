"""``save``: images as a tar that is an OCI layout and a docker-archive at the same time.

The same images give the same bytes: layers are written uncompressed under their diff IDs, entries are sorted
and carry no times.  Source: OCI image spec, image-layout.md; moby's image/tarexport.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import IO, Any

from lxcwrap.actions import images as named
from lxcwrap.archive.compression import Source
from lxcwrap.errors import Corrupt
from lxcwrap.model import digest as digests
from lxcwrap.model import reference as references
from lxcwrap.model.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, ImageConfig, Manifest, encode
from lxcwrap.model.reference import Reference
from lxcwrap.storage import layers as tars
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs, images, layers
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image
from lxcwrap.store.layers import Layer

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Saved:
    """An image with the names it is saved under, and its documents for this archive."""

    image: Image
    names: tuple[Reference, ...]
    config: ImageConfig
    manifest: Manifest


def save(store: Store, driver: Driver, names: tuple[str, ...], out: IO[bytes]) -> None:
    """Write the images to ``out``, which need not be seekable.  Raises NotFound or Corrupt."""
    with layers.keeping(store):
        saved = [_describe(store, image, tags) for image, tags in _chosen(store, names).items()]
        with tarfile.open(fileobj=out, mode="w|", bufsize=CHUNK, copybufsize=CHUNK) as tar:  # type: ignore[call-overload]
            _add_directory(tar, "blobs")
            _add_directory(tar, "blobs/sha256")
            _add_blobs(store, driver, tar, saved)
            _add_bytes(tar, "index.json", encode(_index(saved)))
            _add_bytes(tar, "manifest.json", encode([_docker_entry(item) for item in saved]))
            _add_bytes(tar, "oci-layout", encode({"imageLayoutVersion": "1.0.0"}))


def _chosen(store: Store, names: tuple[str, ...]) -> dict[Image, tuple[Reference, ...]]:
    """Each image once, with all names it was asked for by; a repository alone stands for all its tags."""
    chosen: dict[Image, list[Reference]] = {}
    for text in names:
        for image, reference in _meant(store, text):
            tags = chosen.setdefault(image, [])
            if reference and reference not in tags:
                tags.append(reference)
    ordered = sorted(chosen.items(), key=lambda item: item[0].id)
    return {image: tuple(sorted(tags, key=str)) for image, tags in ordered}


def _meant(store: Store, text: str) -> list[tuple[Image, Reference | None]]:
    whole = _repository(store, text)
    if whole:
        return whole
    image = named.resolve(store, text)
    return [(image, None if named.names_id(image, text) or "@" in text else references.parse(text).with_default_tag())]


def _repository(store: Store, text: str) -> list[tuple[Image, Reference | None]]:
    if not named.is_bare_name(text):
        return []
    prefix = references.parse(text).repository + ":"
    return [
        (image, references.parse(name))
        for image in images.listing(store)
        for name in image.references
        if name.startswith(prefix)
    ]


def _describe(store: Store, image: Image, names: tuple[Reference, ...]) -> Saved:
    config = images.config(store, image.id)
    stack = layers.stack(store, image.chain_id)
    described = Descriptor(OCI_CONFIG, image.id, len(blobs.read(store.paths, image.id)))
    plain = tuple(Descriptor(OCI_LAYER, layer.diff_id, layer.size) for layer in stack)
    return Saved(image, names, config, Manifest(OCI_MANIFEST, described, plain))


def _add_blobs(store: Store, driver: Driver, tar: tarfile.TarFile, saved: list[Saved]) -> None:
    """All documents and layers, sorted by digest, each once."""
    documents = {item.image.id: blobs.read(store.paths, item.image.id) for item in saved}
    documents |= {digests.of(content): content for content in (item.manifest.to_bytes() for item in saved)}
    tops = [layers.stack(store, item.image.chain_id) for item in saved]
    stored: dict[str, Layer] = {layer.diff_id: layer for stack in tops for layer in stack}
    for digest in sorted({*documents, *stored}):
        if digest in documents:
            _add_bytes(tar, _place(digest), documents[digest])
        else:
            with tars.tar(store, driver, stored[digest]) as stream:
                entry = _entry(_place(digest), stored[digest].size)
                tar.addfile(entry, _Exactly(stream, entry.size, digest))


class _Exactly(io.RawIOBase):
    """A layer's tar for tarfile, which asks for pieces and must get all of each."""

    def __init__(self, stream: Source, size: int, digest: str) -> None:
        self._stream = stream
        self._left = size
        self._digest = digest
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        pieces = [self._rest]
        missing = size - len(self._rest)
        while missing > 0:
            piece = self._stream.read(CHUNK)  # may give more than was asked for
            if not piece:
                raise Corrupt(f"the stored layer {self._digest} is shorter than it was")
            pieces.append(piece)
            missing -= len(piece)
        content = b"".join(pieces)
        content, self._rest = content[:size], content[size:]
        self._left -= size
        if not self._left and (self._rest or self._stream.read(1)):  # the end has the digest checked
            raise Corrupt(f"the stored layer {self._digest} is longer than it was")
        return content


def _index(saved: list[Saved]) -> dict[str, Any]:
    entries = []
    for item in saved:
        content = item.manifest.to_bytes()
        plain = Descriptor(OCI_MANIFEST, digests.of(content), len(content), item.config.platform).to_json()
        names = [{IMAGE_NAME: name.canonical, REF_NAME: name.tag} for name in item.names]
        entries += [{**plain, "annotations": name} for name in names] or [plain]
    return {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}


def _docker_entry(item: Saved) -> dict[str, Any]:
    return {
        "Config": _place(item.image.id),
        "RepoTags": [name.familiar for name in item.names] or None,
        "Layers": [_place(layer.digest) for layer in item.manifest.layers],
    }


def _place(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry


def _add_directory(tar: tarfile.TarFile, name: str) -> None:
    entry = _entry(name, 0)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(entry)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_entry(name, len(content)), io.BytesIO(content))
