"""Images by what a user typed, and new images from layers that are stored already."""

from __future__ import annotations

import re

from lxcwrap.errors import Conflict, NotFound, UsageError
from lxcwrap.model import digest as digests
from lxcwrap.model import reference as references
from lxcwrap.model.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, ImageConfig, Manifest
from lxcwrap.model.reference import Reference
from lxcwrap.store import blobs, images, layers
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

_WHOLE_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")


def find(store: Store, text: str) -> Image | None:
    """An image by whole ID, ``repository@digest``, tag, or prefix of its ID, in Docker's order.

    Raises Conflict when a prefix of an ID fits several.
    """
    if _WHOLE_ID.fullmatch(text):
        return images.find_id(store, text)
    try:
        reference = references.parse(text)
    except UsageError:
        return images.find_id(store, text) if text.startswith("sha256:") else None
    if reference.digest:
        return images.find_digest(store, reference.repository, reference.digest)
    return images.find_tag(store, reference.canonical) or images.find_id(store, text)


def resolve(store: Store, text: str) -> Image:
    """As ``find``; raises NotFound when there is none."""
    image = find(store, text)
    if not image:
        raise NotFound(f"no such image: {text}", hint="see: lxcwrap images")
    return image


def names_id(image: Image, text: str) -> bool:
    """Whether ``text``, which resolved to ``image``, did so as (a prefix of) its ID."""
    try:
        reference = references.parse(text)
    except UsageError:
        return True
    return not reference.digest and reference.canonical not in image.references


def create_image(store: Store, parent: Image | None, config: ImageConfig) -> str:
    """Make the image of ``config`` known and return its ID; its layers must be stored.

    Where ``parent`` is given its manifest's descriptors are taken over for the layers they share, so that a
    registry that holds them need not be sent them again.
    """
    content = config.to_bytes()
    image_id = digests.of(content)
    known = _descriptors(store, parent) if parent else {}
    described = tuple(
        known.get(chain_id) or _uncompressed(store, chain_id) for chain_id in digests.chain_ids(config.diff_ids)
    )
    manifest = Manifest(OCI_MANIFEST, Descriptor(OCI_CONFIG, image_id, len(content)), described)
    blobs.write(store.paths, content)
    manifest_digest = blobs.write(store.paths, manifest.to_bytes())
    images.add(store, image_id, manifest_digest, config)
    return image_id


def _descriptors(store: Store, image: Image) -> dict[str, Descriptor]:
    """The image's layers as its manifest describes them, by chain ID."""
    described = images.manifest(store, image).layers
    chain = digests.chain_ids(images.config(store, image.id).diff_ids)
    return dict(zip(chain, described, strict=True)) if len(chain) == len(described) else {}


def _uncompressed(store: Store, chain_id: str) -> Descriptor:
    layer = layers.find(store, chain_id)
    if not layer:
        raise NotFound(f"no layer {chain_id} in {store.paths.root}")
    return Descriptor(OCI_LAYER, layer.diff_id, layer.size)


def tag(store: Store, source: str, target: str) -> Reference:
    """Give an image another name; returns it.  Raises NotFound or UsageError."""
    reference = references.parse(target)
    if reference.digest:
        raise UsageError(f"{target}: a tag cannot have a digest", exit_code=1)
    image = resolve(store, source)
    images.tag(store, reference.canonical, image.id)
    return reference.with_default_tag()


def repositories(image: Image) -> set[str]:
    """All repositories (domain/path) that name the image, by tag or by digest."""
    tagged = {reference.rpartition(":")[0] for reference in image.references}
    return tagged | {repository for repository, _ in image.digests}


def one_repository(image: Image, text: str) -> None:
    """Raises Conflict when an image named by ID is known to several repositories: removing it needs force."""
    if len(repositories(image)) > 1:
        raise Conflict(
            f"image {text} has names in {len(repositories(image))} repositories",
            hint="remove it by its names, or with --force",
        )


def is_bare_name(text: str) -> bool:
    """Whether ``text`` names a repository, with neither tag nor digest."""
    try:
        reference = references.parse(text)
    except UsageError:
        return False
    return not reference.tag and not reference.digest
