"""``pull``: an image from a registry into the state."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.actions.disk import full_is_said
from lxcwrap.actions.layer_fetch import Fetch, Wanted
from lxcwrap.actions.progress import SILENT, Progress
from lxcwrap.errors import Corrupt, LxcwrapError, NotFound, RegistryError, Unsafe
from lxcwrap.model import digest as digests
from lxcwrap.model.image import INDEXES, LAYERS, Descriptor, ImageConfig, Manifest, Platform, decode
from lxcwrap.model.reference import Reference
from lxcwrap.registry import client as registry
from lxcwrap.registry.client import Client, Document
from lxcwrap.registry.failure import Refusal
from lxcwrap.registry.trust import load
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs, images, layers, partial, staging
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image
from lxcwrap.store.layers import LayerBlob
from lxcwrap.store.unrecorded import undone_on_failure

NESTING = 2  # indexes within indexes that are followed


@dataclass(frozen=True)
class Found:
    """What a registry has for a reference: the document that it is pinned by, and one platform's manifest."""

    client: Client
    top: Document
    content: bytes
    manifest: Manifest


def pull(
    store: Store,
    driver: Driver,
    reference: Reference,
    *,
    platform: Platform | None = None,
    progress: Progress = SILENT,
) -> Image:
    """Fetch what is missing of an image and give it its name.

    Raises NotFound, RegistryError, Corrupt, Unsafe or NoSpace, and then nothing has changed but that partial
    downloads are kept for the next attempt.
    """
    reference = reference.with_default_tag()
    progress.message(f"{reference.tag or reference.digest}: Pulling from {_shown_path(reference)}")
    try:
        with full_is_said(store.paths), layers.keeping(store):
            found = _find(reference, platform)
            before = images.find_tag(store, reference.canonical)
            content, config = _config(store, found, platform, reference)
            with undone_on_failure(store, _documents(found)):
                _fetch_layers(store, driver, found, config, progress)
                image = _record(store, reference, found, content, config)
    finally:
        layers.collect(store)
    progress.message(f"Digest: {found.top.digest}")
    newer = "Image is up to date" if before and before.id == image.id else "Downloaded newer image"
    progress.message(f"Status: {newer} for {reference.familiar}")
    return image


def all_tags(reference: Reference) -> tuple[str, ...]:
    """The tags of a repository, as its registry lists them."""
    return tuple(sorted(Client(reference).tags()))


def _shown_path(reference: Reference) -> str:
    return reference.path if reference.domain == "docker.io" else reference.familiar_repository


def _find(reference: Reference, platform: Platform | None) -> Found:
    """Asks the registry's mirrors and then the registry itself."""
    failure: LxcwrapError | None = None
    for client in registry.candidates(reference, load()):
        try:
            return _choose(client, reference, platform)
        except (RegistryError, Corrupt) as error:
            failure = error
    assert failure, "there is always the registry itself"
    if isinstance(failure, Refusal) and failure.status == 404:
        raise NotFound(f"no such image in its registry: {reference.familiar} ({failure.message})") from failure
    raise failure


def _choose(client: Client, reference: Reference, platform: Platform | None) -> Found:
    """Follow indexes down to one platform's manifest."""
    top = document = client.manifest(reference.digest or reference.tag)
    for _ in range(NESTING):
        if document.media_type not in INDEXES:
            break
        described = _for_platform(document, platform or Platform.host(), reference)
        document = client.manifest(described.digest)
        if len(document.content) != described.size:
            raise Corrupt(
                f"{reference.familiar}: the manifest {described.digest} is {len(document.content)} bytes,"
                f" its index says {described.size}"
            )
    if document.media_type in INDEXES:
        raise RegistryError(f"{reference.familiar} is an index of indexes of indexes")
    manifest = Manifest.from_json({"mediaType": document.media_type, **document.parsed()})
    unknown = [layer.media_type for layer in manifest.layers if layer.media_type not in LAYERS]
    if unknown:
        raise RegistryError(f"{reference.familiar} is not an image: it has a part of type {unknown[0]!r:.120}")
    return Found(client, top, document.content, manifest)


def _for_platform(index: Document, wanted: Platform, reference: Reference) -> Descriptor:
    listed = index.parsed().get("manifests") or []
    if not isinstance(listed, list):
        raise Corrupt(f"{reference.familiar} is an index without a list of manifests")
    entries = [Descriptor.from_json(entry) for entry in listed]
    fitting = [entry for entry in entries if entry.platform is None or entry.platform.matches(wanted)]
    exact = [entry for entry in fitting if entry.platform and entry.platform.variant == wanted.variant]
    if not fitting:
        known = sorted({str(entry.platform) for entry in entries if entry.platform and entry.platform.os != "unknown"})
        raise NotFound(f"{reference.familiar} has no image for {wanted}", hint=f"it has {', '.join(known) or 'none'}")
    return (exact or fitting)[0]


def _config(store: Store, found: Found, platform: Platform | None, reference: Reference) -> tuple[bytes, ImageConfig]:
    """The image configuration, from here or from the registry.  Raises Corrupt or NotFound (another platform)."""
    described = found.manifest.config
    if blobs.exists(store.paths, described.digest):
        content = blobs.read(store.paths, described.digest)
    else:
        content = found.client.document(described.digest, described.size)
    try:
        config = ImageConfig.from_json(decode(content))
    except (ValueError, TypeError, AttributeError) as error:
        raise Corrupt(f"{reference.familiar}: its configuration cannot be read ({error})") from error
    if len(config.diff_ids) != len(found.manifest.layers):
        raise Corrupt(
            f"{reference.familiar}: its manifest has {len(found.manifest.layers)} layers,"
            f" its configuration {len(config.diff_ids)}"
        )
    if platform and not config.platform.matches(platform):
        raise NotFound(f"{reference.familiar} has no image for {platform}", hint=f"it has {config.platform}")
    return content, config


def _fetch_layers(store: Store, driver: Driver, found: Found, config: ImageConfig, progress: Progress) -> None:
    """Bring in the layers that are missing.  Bytes kept from a cut pull that turn out wrong are fetched anew once."""
    wanted = _missing(store, found, config)
    with partial.held(store.paths, (layer.blob.digest for layer in wanted)):
        wanted = _missing(store, found, config)  # another pull may have brought some while we waited
        for descriptor in found.manifest.layers:
            if descriptor not in [layer.blob for layer in wanted]:
                progress.state(descriptor.digest[7:19], "Already exists")
        for attempt in (1, 2):
            fetch = Fetch(store.paths, found.client, driver, wanted, progress)
            try:
                with staging.directory(store.paths, "pull") as stage:
                    fetch.run(stage, lambda layer, staged: layers.add(store, layer, staged))
                break
            except (Corrupt, Unsafe, OSError) as error:
                fetch.discard()
                if attempt == 2 or not (isinstance(error, Corrupt) and fetch.resumed):
                    raise


def _documents(found: Found) -> tuple[str, ...]:
    """The digests of all that comes for the image."""
    layer_digests = (layer.digest for layer in found.manifest.layers)
    return (*layer_digests, found.manifest.config.digest, digests.of(found.content))


def _missing(store: Store, found: Found, config: ImageConfig) -> tuple[Wanted, ...]:
    chain = digests.chain_ids(config.diff_ids)
    below = (None, *chain)
    layered = zip(found.manifest.layers, config.diff_ids, chain, below, strict=False)
    return tuple(Wanted(*layer) for layer in layered if not layers.find(store, layer[2]))


def _record(store: Store, reference: Reference, found: Found, content: bytes, config: ImageConfig) -> Image:
    image_id = blobs.write(store.paths, content)
    manifest_digest = blobs.write(store.paths, found.content)
    layers.settle(store)
    with store.transaction():
        for descriptor, diff_id in zip(found.manifest.layers, config.diff_ids, strict=True):
            layers.add_blob(store, LayerBlob(descriptor.digest, diff_id, descriptor.media_type, descriptor.size))
            layers.add_source(store, descriptor.digest, found.client.repository)
        images.add(store, image_id, manifest_digest, config)
        images.add_digest(store, reference.repository, found.top.digest, image_id)
        if reference.tag and not reference.digest:
            images.tag(store, reference.canonical, image_id, event="")
        store.event("image", "pull", reference.familiar, {"name": reference.familiar_repository})
    return images.get(store, image_id)
