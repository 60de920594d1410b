"""``push``: an image from the state to a registry."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from lxcwrap.actions.disk import full_is_said
from lxcwrap.actions.layer_send import Outgoing, Sender, Sent
from lxcwrap.actions.progress import SILENT, Progress
from lxcwrap.errors import NotFound, UsageError
from lxcwrap.model import digest as digests
from lxcwrap.model import image as kinds
from lxcwrap.model.image import Descriptor, Manifest
from lxcwrap.model.reference import Reference
from lxcwrap.registry import upload
from lxcwrap.registry.client import Client
from lxcwrap.registry.failure import Refusal
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs, images, layers, staging
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

UPLOADS = 4  # layers that go out at the same time


@dataclass(frozen=True)
class Pushed:
    """What the registry has now: the manifest's digest and its size in bytes."""

    digest: str
    size: int


def push(store: Store, driver: Driver, reference: Reference, *, progress: Progress = SILENT) -> Pushed:
    """Send what the registry has not got of a tagged image, then its manifest under the tag.

    Layers that had to be compressed stay compressed here for the next push.  Raises NotFound or RegistryError.
    """
    reference = reference.with_default_tag()
    if reference.digest:
        raise UsageError(f"{reference}: a push goes to a tag, not to a digest", exit_code=1)
    image = images.find_tag(store, reference.canonical)
    if not image:
        hint = f"name one so: lxcwrap tag IMAGE {reference.familiar}"
        raise NotFound(f"no such image: {reference.familiar}", hint=hint)
    client = Client(reference, actions="pull,push")
    with full_is_said(store.paths), layers.keeping(store), staging.directory(store.paths, "push") as stage:
        sent = _send_layers(store, driver, image, client, stage, progress)
        content, manifest = _manifest(store, image, sent)
        _send_config(store, client, manifest.config)
        content = _put(client, reference.tag, content, manifest)
        digest = digests.of(content)
        images.add_digest(store, reference.repository, digest, image.id)
    store.event("image", "push", reference.familiar, {"name": reference.familiar_repository})
    progress.message(f"{reference.tag}: digest: {digest} size: {len(content)}")
    return Pushed(digest, len(content))


def tags_here(store: Store, repository: Reference) -> tuple[str, ...]:
    """The tags under which this host knows images of a repository (``push --all-tags``)."""
    prefix = f"{repository.repository}:"
    names = [name for image in images.listing(store) for name in image.references if name.startswith(prefix)]
    return tuple(sorted(name.removeprefix(prefix) for name in names))


def _send_layers(
    store: Store, driver: Driver, image: Image, client: Client, stage: str, progress: Progress
) -> tuple[Sent, ...]:
    """Each layer's blob as the registry has it afterwards, lowest first."""
    preferred = [layer.digest for layer in images.manifest(store, image).layers]
    outgoing = [
        Outgoing(layer, _known(store, layer.diff_id, preferred), f"{stage}/{number}")
        for number, layer in enumerate(layers.stack(store, image.chain_id))
    ]
    sender = Sender(store, driver, client, progress)
    first = {item.layer.diff_id: item for item in reversed(outgoing)}  # the same tar may be there several times
    done: dict[str, Sent] = {}
    with ThreadPoolExecutor(UPLOADS) as pool:
        try:
            jobs: list[Future[Sent]] = [pool.submit(sender.send, item) for item in reversed(first.values())]
            for job in jobs:
                sent = job.result()
                _remember(store, client, sent)
                done[sent.diff_id] = sent
        except BaseException:
            client.transport.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return tuple(done[item.layer.diff_id] for item in outgoing)


def _known(store: Store, diff_id: str, preferred: list[str]) -> tuple[tuple[layers.LayerBlob, tuple[str, ...]], ...]:
    """The known forms of a layer with the repositories that hold them: the manifest's own first, plain tars last."""
    known = sorted(
        layers.blobs_of(store, diff_id), key=lambda blob: (blob.digest not in preferred, blob.digest == diff_id)
    )
    return tuple((blob, layers.sources(store, blob.digest)) for blob in known)


def _remember(store: Store, client: Client, sent: Sent) -> None:
    """A blob that was made for this push stays, and is known to be there."""
    if sent.made:
        blobs.adopt(store.paths, sent.made, sent.blob.digest)
        layers.add_blob(store, sent.blob)
    layers.add_source(store, sent.blob.digest, client.repository)


def _manifest(store: Store, image: Image, sent: tuple[Sent, ...]) -> tuple[bytes, Manifest]:
    """The image's own manifest where the registry has just its layers, else one of what the registry has."""
    content = blobs.read(store.paths, image.manifest)
    stored = images.manifest(store, image)
    if [layer.digest for layer in stored.layers] == [item.blob.digest for item in sent]:
        return content, stored
    described = tuple(Descriptor(_oci_type(item.blob.media_type), item.blob.digest, item.blob.size) for item in sent)
    manifest = Manifest(kinds.OCI_MANIFEST, replace(stored.config, media_type=kinds.OCI_CONFIG), described)
    return manifest.to_bytes(), manifest


def _oci_type(media_type: str) -> str:
    return {kinds.DOCKER_LAYER: kinds.OCI_LAYER, kinds.DOCKER_LAYER_GZIP: kinds.OCI_LAYER_GZIP}.get(
        media_type, media_type
    )


def _send_config(store: Store, client: Client, config: Descriptor) -> None:
    if not upload.has(client, config.digest):
        upload.send_bytes(client, config.digest, blobs.read(store.paths, config.digest))


def _put(client: Client, tag: str, content: bytes, manifest: Manifest) -> bytes:
    """Put the manifest; a registry that does not know OCI's types gets Docker's.  Returns what was put."""
    try:
        client.put_manifest(tag, content, manifest.media_type)
    except Refusal as refusal:
        docker = _docker_form(manifest)
        if refusal.status not in (400, 415) or not docker:
            raise
        content = docker.to_bytes()
        client.put_manifest(tag, content, docker.media_type)
    return content


def _docker_form(manifest: Manifest) -> Manifest | None:
    """The same in Docker's schema 2, or None where it has no words for it."""
    types = {kinds.OCI_LAYER: kinds.DOCKER_LAYER, kinds.OCI_LAYER_GZIP: kinds.DOCKER_LAYER_GZIP}
    if manifest.media_type != kinds.OCI_MANIFEST or any(layer.media_type not in types for layer in manifest.layers):
        return None
    described = tuple(replace(layer, media_type=types[layer.media_type]) for layer in manifest.layers)
    return Manifest(kinds.DOCKER_MANIFEST, replace(manifest.config, media_type=kinds.DOCKER_CONFIG), described)
