"""``rmi``: names first, and with the last name the image."""

from __future__ import annotations

from lxcwrap.actions import images as named
from lxcwrap.errors import Conflict
from lxcwrap.model import digest as digests
from lxcwrap.model import reference as references
from lxcwrap.runtime import state as states
from lxcwrap.store import containers, images, layers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image


def remove(store: Store, text: str, *, force: bool = False, prune: bool = True) -> list[str]:
    """Remove a name, or the image; returns Docker's lines (``Untagged:``, ``Deleted:``).

    Without ``prune`` layers that nothing needs any more stay until the next prune.  Raises NotFound or Conflict.
    """
    image = named.resolve(store, text)
    if named.names_id(image, text):
        return _remove_by_id(store, image, text, force, prune)
    return _remove_name(store, image, text, force, prune)


def _remove_name(store: Store, image: Image, text: str, force: bool, prune: bool) -> list[str]:
    reference = references.parse(text)
    names, pinned = _without(image, text)
    if names or (pinned and reference.digest):
        return _untag(store, image, names, pinned)
    user = next(iter(_users(store, image)), None)
    if user and not force:
        raise Conflict(
            f"{text} is the last name of an image that container {user.name} ({user.id[:12]}) uses",
            hint="remove the container first, or untag with --force",
        )
    lines = _untag(store, image, (), ())
    return lines if user else lines + delete(store, image, prune)


def _without(image: Image, text: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The names and digests that stay when one name goes; a repository's digests go with its last tag."""
    reference = references.parse(text)
    if reference.digest:
        gone = (reference.repository, reference.digest)
        return image.references, tuple(pair for pair in image.digests if pair != gone)
    names = tuple(name for name in image.references if name != reference.canonical)
    if any(name.rpartition(":")[0] == reference.repository for name in names):
        return names, image.digests
    return names, tuple(pair for pair in image.digests if pair[0] != reference.repository)


def _untag(store: Store, image: Image, names: tuple[str, ...], pinned: tuple[tuple[str, str], ...]) -> list[str]:
    """Take away all names but these."""
    lines = []
    with store.transaction(removing=True) as db:
        for name in image.references:
            if name not in names:
                images.untag(store, name)
                lines.append(f"Untagged: {references.parse(name).familiar}")
        for repository, digest in image.digests:
            if (repository, digest) not in pinned:
                db.execute("DELETE FROM repository_digests WHERE repository = ? AND digest = ?", (repository, digest))
                lines.append(f"Untagged: {references.parse(f'{repository}@{digest}').familiar}")
    return lines


def _remove_by_id(store: Store, image: Image, text: str, force: bool, prune: bool) -> list[str]:
    if not force:
        named.one_repository(image, text)
    mounting = images.mounted(store).get(image.id, set())
    for user in _users(store, image):
        if user.id in mounting:
            raise Conflict(
                f"image {text} is mounted by container {user.name} ({user.id[:12]})",
                hint="remove the container first: without the image it could not start",
            )
        running = states.read(store.paths, user.id).live
        if running or not force:
            raise Conflict(
                f"image {text} is used by {'running' if running else 'stopped'} container {user.name} ({user.id[:12]})",
                hint="stop and remove the container first" if running else "remove the container first, or use --force",
            )
    with store.transaction(removing=True) as db:
        db.execute("UPDATE containers SET image_id = NULL WHERE image_id = ?", (image.id,))
        lines = _untag(store, image, (), ())
    return lines + delete(store, image, prune)


def _users(store: Store, image: Image) -> list[Container]:
    mounting = images.mounted(store).get(image.id, set())
    return [one for one in containers.listing(store) if one.image_id == image.id or one.id in mounting]


def delete(store: Store, image: Image, prune: bool = True) -> list[str]:
    """Forget an image that has no names; returns the lines of what went.  Raises Conflict while it is used."""
    chain = digests.chain_ids(images.config(store, image.id).diff_ids)
    images.remove(store, image.id)
    lines = [f"Deleted: {image.id}"]
    if prune:
        layers.collect(store)
        lines += [f"Deleted: {chain_id}" for chain_id in reversed(chain) if not layers.find(store, chain_id)]
    return lines
