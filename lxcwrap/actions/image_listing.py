"""``images`` and ``history``: what is here, in Docker's words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from lxcwrap.actions import images as named
from lxcwrap.model import phrases, selection
from lxcwrap.model import reference as references
from lxcwrap.model.units import show_bytes
from lxcwrap.store import images, layers
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

FILTERS = ("before", "dangling", "label", "reference", "since", "until")
NONE = "<none>"

Filters = Mapping[str, tuple[str, ...]]


def select(store: Store, filters: Filters) -> list[Image]:
    """The images that fit all filters, newest first.  Raises NotFound or UsageError for a filter's value."""
    found = list(images.listing(store))
    if "dangling" in filters:
        dangling = selection.truth(filters["dangling"], "dangling")
        found = [image for image in found if bool(image.references) != dangling]
    for name in filters.get("before", ()):
        limit = named.resolve(store, name)
        found = [image for image in found if (image.created, image.added) < (limit.created, limit.added)]
    for name in filters.get("since", ()):
        limit = named.resolve(store, name)
        found = [image for image in found if (image.created, image.added) > (limit.created, limit.added)]
    for text in filters.get("until", ()):
        moment = selection.moment(text, time.time())
        found = [image for image in found if image.created <= moment]
    if "label" in filters:
        found = [image for image in found if selection.labels_match(filters["label"], labels(store, image))]
    return found


def labels(store: Store, image: Image) -> dict[str, str]:
    return dict(images.config(store, image.id).config.labels)


def rows(
    store: Store, found: list[Image], patterns: tuple[str, ...], *, by_digest: bool, truncate: bool = True
) -> Iterator[dict[str, Any]]:
    """One row a name (a digest's too with ``by_digest``), as ``--format`` knows its fields.

    ``patterns`` are those of the reference filter: only names that fit one of them.
    """
    now = time.time()
    for image in found:
        for repository, tag, digest in _names(image, by_digest):
            if patterns and not any(_fits(pattern, repository, tag) for pattern in patterns):
                continue
            yield {
                "Repository": repository,
                "Tag": tag,
                "Digest": digest,
                "ID": image.id[7:19] if truncate else image.id,
                "CreatedSince": phrases.ago(image.created, now) if image.created else "N/A",
                "CreatedAt": phrases.local_time(image.created) if image.created else "N/A",
                "Size": show_bytes(image.size),
                "VirtualSize": show_bytes(image.size),
                "Containers": "N/A",
                "SharedSize": "N/A",
                "UniqueSize": "N/A",
            }


def _names(image: Image, by_digest: bool) -> Iterator[tuple[str, str, str]]:
    """(familiar repository, tag, digest) of each row; ``<none>`` for what is missing."""
    known: dict[str, list[str]] = {}
    for repository, digest in image.digests:
        known.setdefault(_familiar(repository), []).append(digest)
    tagged = [references.parse(reference) for reference in image.references]
    for reference in tagged:
        digests = known.get(reference.familiar_repository, [NONE]) if by_digest else [NONE]
        for digest in digests:
            yield reference.familiar_repository, reference.tag, digest
    bare = {name: digests for name, digests in known.items() if name not in {t.familiar_repository for t in tagged}}
    if tagged and not by_digest:
        return
    for name, digests in bare.items():
        for digest in digests if by_digest else digests[:1]:
            yield name, NONE, digest
    if not tagged and not bare:
        yield NONE, NONE, NONE


def _familiar(repository: str) -> str:
    return references.parse(repository).familiar_repository


def _fits(pattern: str, repository: str, tag: str) -> bool:
    """Go's path.Match of the pattern with the name, and with the name and tag."""
    expression = _expression(pattern)
    return any(expression.fullmatch(text) for text in (repository, f"{repository}:{tag}"))


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\*|\?|\[[^]]+\]|\\.|.", pattern)
    words = {"*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(p) or (p if len(p) > 2 and p[0] == "[" else re.escape(p[-1])) for p in parts))


def history(store: Store, text: str, *, truncate: bool = True, human: bool = True) -> Iterator[dict[str, Any]]:
    """The steps of an image, the last one first.  Raises NotFound or Conflict."""
    image = named.resolve(store, text)
    config = images.config(store, image.id)
    now = time.time()
    sizes = [layer.size for layer in layers.stack(store, image.chain_id)]
    top = True
    for line in reversed(config.history):
        size = 0 if line.empty_layer or not sizes else sizes.pop()
        created = images.parse_time(line.created)
        by = shortened(line.created_by, 45) if truncate else line.created_by
        shown_id = (image.id[7:19] if truncate else image.id) if top else "<missing>"
        top = False
        yield {
            "ID": shown_id,
            "CreatedSince": (phrases.ago(created, now) if human else line.created) if created else "N/A",
            "CreatedAt": line.created,
            "CreatedBy": by,
            "Size": show_bytes(size) if human else str(size),
            "Comment": line.comment,
        }


def shortened(text: str, limit: int) -> str:
    """At most ``limit`` characters, the last an ellipsis when something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
