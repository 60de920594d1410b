"""``export`` and ``import``: a root file system as a plain tar, and back as an image of one layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lxcwrap.actions import images
from lxcwrap.actions.commit import now, target
from lxcwrap.actions.container_files import opened
from lxcwrap.actions.disk import full_is_said
from lxcwrap.archive import compression
from lxcwrap.archive.compression import Sink, Source
from lxcwrap.archive.write import write_tree
from lxcwrap.build import change
from lxcwrap.errors import LxcwrapError, NotFound
from lxcwrap.model.image import History, ImageConfig, Platform, RunConfig
from lxcwrap.storage import layers
from lxcwrap.storage.driver import Driver
from lxcwrap.store import images as stored
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.layers import keeping

_TIMEOUT = 60.0  # seconds without a byte from a URL


def export(store: Store, container: Container, out: Sink) -> None:
    """The container's files as a tar, without what is in volumes and other mounts."""
    with opened(store, container, mounts=False) as root:
        write_tree(f"/proc/self/fd/{root}", out, id_base=container.id_base or 0)
    store.event("container", "export", container.id, container.attributes)


def import_image(
    store: Store,
    driver: Driver,
    stream: Source,
    name: str = "",
    *,
    message: str = "",
    changes: tuple[str, ...] = (),
    platform: Platform | None = None,
) -> str:
    """An image of one layer from a tar, compressed or not; returns its ID.

    Raises Corrupt, Unsafe, UsageError, NoSpace or BuildError; then nothing is left.
    """
    reference = target(name)
    config = change.apply(RunConfig(), changes)
    with full_is_said(store.paths), keeping(store):
        layer = layers.add_stream(store, driver, compression.reader(stream), None)
        created = now()
        image = ImageConfig(
            platform=platform or Platform.host(),
            created=created,
            config=config,
            diff_ids=(layer.diff_id,),
            history=(History(created=created, comment=message),),
        )
        image_id = images.create_image(store, None, image)
        if reference:
            stored.tag(store, reference.canonical, image_id, event="")
        store.event("image", "import", image_id, {"name": reference.familiar if reference else image_id})
    return image_id


@contextmanager
def source(place: str) -> Iterator[Any]:
    """The bytes of a file or of an http(s) URL.  Raises NotFound or LxcwrapError."""
    if place.startswith(("http://", "https://")):
        with _download(place) as answer:
            yield answer
        return
    try:
        stream = open(place, "rb", buffering=0)  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise NotFound(
            f"no such file: {place}", hint="give a file, '-' for standard input, or an http(s) URL"
        ) from None
    with stream:
        yield stream


@contextmanager
def _download(url: str) -> Iterator[Any]:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        answer = urlopen(url, timeout=_TIMEOUT)
    except HTTPError as error:
        raise LxcwrapError(f"{url}: the server answers {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        what = getattr(reason, "strerror", None) or str(reason).strip() or "the answer is no HTTP"
        raise LxcwrapError(f"{url}: {what}") from None
    with answer:
        try:
            yield answer
        except HTTPException as error:
            raise LxcwrapError(f"{url}: the download was cut: {error!r:.100}") from None
