"""``load``: images from an archive into the state."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

from lxcwrap.actions.disk import full_is_said
from lxcwrap.actions.image_archive import Archive, Found, Member
from lxcwrap.actions.progress import SILENT, Progress
from lxcwrap.archive import compression
from lxcwrap.archive.checked import HashingReader, HashingWriter
from lxcwrap.archive.pipeline import ahead, behind
from lxcwrap.errors import Corrupt, UsageError
from lxcwrap.model import digest as digests
from lxcwrap.model import reference as references
from lxcwrap.model.image import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    Platform,
    decode,
)
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs, images, layers, staging
from lxcwrap.store.database import Store
from lxcwrap.store.layers import Layer, LayerBlob

CHUNK = 1 << 20
WORKERS = 2


@dataclass(frozen=True)
class Loaded:
    """An image that is here now, by its names in familiar form; ``replaced``: (name, ID of the image that had it)."""

    image_id: str
    names: tuple[str, ...]
    replaced: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Job:
    member: Member
    layer: Layer  # of unknown size
    place: str


def load(
    store: Store, driver: Driver, stream: IO[bytes], *, platform: Platform | None = None, progress: Progress = SILENT
) -> tuple[Loaded, ...]:
    """Read an archive (plain, gzip or zstd) and make its images known.

    Raises Corrupt, Unsafe or NoSpace; each image of the archive is whole or not there.
    """
    try:
        with full_is_said(store.paths), layers.keeping(store), staging.directory(store.paths, "load") as stage:
            os.mkdir(f"{stage}/members")
            archive = Archive(compression.reader(stream), f"{stage}/members")
            found = archive.images(platform or Platform.host())
            if not found:
                raise Corrupt(f"the image archive has no image for {platform or Platform.host()}")
            return tuple(
                _enter(store, driver, item, f"{stage}/{number}", progress) for number, item in enumerate(found)
            )
    finally:
        layers.collect(store)


def _enter(store: Store, driver: Driver, found: Found, stage: str, progress: Progress) -> Loaded:
    config = _config(found)
    os.mkdir(stage)
    kept = _enter_layers(store, driver, found, config, stage, progress)
    image_id = blobs.write(store.paths, found.config)
    manifest = blobs.write(store.paths, found.manifest or _manifest(found, image_id, kept).to_bytes())
    names = list(dict.fromkeys(_parse(name) for name in found.names))
    layers.settle(store)
    with store.transaction():
        images.add(store, image_id, manifest, config)
        before = [(name.familiar, images.tag(store, name.canonical, image_id, event="")) for name in names]
        store.event("image", "load", image_id, {"name": names[0].familiar if names else image_id})
    replaced = tuple((name, old) for name, old in before if old)
    return Loaded(image_id, tuple(name.familiar for name in names), replaced)


def _config(found: Found) -> ImageConfig:
    try:
        config = ImageConfig.from_json(decode(found.config))
    except (ValueError, TypeError, AttributeError) as error:
        raise Corrupt(f"the image archive's configuration cannot be read: {error}") from None
    if len(config.diff_ids) != len(found.layers):
        raise Corrupt(f"the image archive has {len(found.layers)} layers for a configuration of {len(config.diff_ids)}")
    return config


def _parse(name: str) -> references.Reference:
    try:
        reference = references.parse(name)
    except UsageError as error:
        raise Corrupt(f"the image archive has a bad name: {error.message}") from None
    if reference.digest:
        raise Corrupt(f"the image archive has a digest for a name: {name!r:.200}")
    return reference.with_default_tag()


def _enter_layers(
    store: Store, driver: Driver, found: Found, config: ImageConfig, stage: str, progress: Progress
) -> tuple[LayerBlob, ...]:
    """Bring in the layers that are missing; returns the compressed form that is known of each layer."""
    chain = digests.chain_ids(config.diff_ids)
    below: tuple[str | None, ...] = (None, *chain)
    stack = [Layer(*item, 0) for item in zip(chain, config.diff_ids, below, strict=False)]
    jobs = {
        layer.chain_id: _Job(member, layer, f"{stage}/{number}")
        for number, (member, layer) in enumerate(zip(found.layers, stack, strict=True))
        if not layers.find(store, layer.chain_id)
    }
    with ThreadPoolExecutor(WORKERS) as pool:
        unpacking = {key: pool.submit(_unpack, driver, job) for key, job in jobs.items()}
        packing = {key: pool.submit(_pack, job) for key, job in jobs.items()}
        try:
            return tuple(
                _settle(store, jobs[layer.chain_id], unpacking[layer.chain_id], packing[layer.chain_id], progress)
                if layer.chain_id in jobs
                else _known(store, layer, member)
                for layer, member in zip(stack, found.layers, strict=True)
            )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _settle(
    store: Store, job: _Job, unpacking: Future[int], packing: Future[tuple[LayerBlob, str]], progress: Progress
) -> LayerBlob:
    size = unpacking.result()
    blob, path = packing.result()
    layer = Layer(job.layer.chain_id, job.layer.diff_id, job.layer.parent, size)
    layers.add(store, layer, job.place)
    if not blobs.exists(store.paths, blob.digest):
        blobs.adopt(store.paths, path, blob.digest)
    layers.add_blob(store, blob)
    progress.state(job.layer.diff_id[7:19], "Loaded")
    return blob


def _known(store: Store, layer: Layer, member: Member) -> LayerBlob:
    """For a layer that is here: a form that is known of it, else the uncompressed one."""
    known = layers.blobs_of(store, layer.diff_id)
    same = [blob for blob in known if blob.digest == member.digest]
    if same or known:
        return (same or list(known))[0]
    stored = layers.find(store, layer.chain_id)
    return LayerBlob(layer.diff_id, layer.diff_id, OCI_LAYER, stored.size if stored else 0)


def _unpack(driver: Driver, job: _Job) -> int:
    """Extract one layer into its place; returns the bytes of its tar.  Raises Corrupt or Unsafe."""
    os.mkdir(job.place, 0o700)
    with open(job.member.path, "rb", buffering=0) as stream:
        unpacked = HashingReader(compression.reader(stream))
        with ahead(unpacked) as source:
            driver.extract(source, job.place)
            while source.read(CHUNK):
                pass
    if unpacked.digest != job.layer.diff_id:
        raise Corrupt(f"a layer of the image archive is {unpacked.digest}, its configuration says {job.layer.diff_id}")
    return unpacked.size


def _pack(job: _Job) -> tuple[LayerBlob, str]:
    """The compressed form to keep: the member itself, or made from it; with its staged file."""
    member, diff_id, path = job.member, job.layer.diff_id, f"{job.place}.blob"
    with open(member.path, "rb", buffering=0) as stream:
        first = stream.read(4)
        for magic, kind in ((compression.GZIP_MAGIC, OCI_LAYER_GZIP), (compression.ZSTD_MAGIC, OCI_LAYER_ZSTD)):
            if first.startswith(magic):
                os.link(member.path, path)
                return LayerBlob(member.digest, diff_id, kind, member.size), path
        stream.seek(0)
        source = compression.reader(stream)
        with open(path, "wb", buffering=0) as out:
            hashed = HashingWriter(out)
            with behind(hashed) as sink:
                gzip = compression.gzip_writer(sink)
                while chunk := source.read(CHUNK):
                    gzip.write(chunk)
                gzip.close()
    return LayerBlob(hashed.digest, diff_id, OCI_LAYER_GZIP, hashed.size), path


def _manifest(found: Found, image_id: str, kept: tuple[LayerBlob, ...]) -> Manifest:
    described = tuple(Descriptor(blob.media_type, blob.digest, blob.size) for blob in kept)
    return Manifest(OCI_MANIFEST, Descriptor(OCI_CONFIG, image_id, len(found.config)), described)
