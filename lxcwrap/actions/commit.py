"""``commit``: an image from what a container has become."""

from __future__ import annotations

import time
from dataclasses import replace

from lxcwrap.actions import images
from lxcwrap.actions.container_files import frozen
from lxcwrap.actions.disk import full_is_said
from lxcwrap.archive.pipeline import transfer
from lxcwrap.build import change
from lxcwrap.errors import UsageError
from lxcwrap.model import reference as references
from lxcwrap.model.container import ContainerConfig
from lxcwrap.model.image import History, ImageConfig, Platform, RunConfig
from lxcwrap.model.reference import Reference
from lxcwrap.storage import driver as drivers
from lxcwrap.storage import layers
from lxcwrap.store import images as stored
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store
from lxcwrap.store.layers import Layer, keeping


def commit(
    store: Store,
    container: Container,
    name: str = "",
    *,
    author: str = "",
    message: str = "",
    changes: tuple[str, ...] = (),
    pause: bool = True,
) -> str:
    """Make the image, tag it when ``name`` is given, and return its ID.

    ``changes`` are Dockerfile instructions.
    Raises UsageError, BuildError, Unsafe, NoSpace or OSError; then nothing is left.
    """
    reference = target(name)
    parent = stored.get(store, container.image_id) if container.image_id else None
    below = stored.config(store, parent.id) if parent else ImageConfig(platform=Platform.host())
    run_config = change.apply(run_config_of(container.config, below.config), changes)
    with full_is_said(store.paths), keeping(store):
        layer = _layer(store, container, pause)
        line = History(
            created=now(),
            created_by=" ".join(container.config.argv),
            author=author,
            comment=message,
            empty_layer=layer is None,
        )
        config = ImageConfig(
            platform=below.platform,
            created=line.created,
            author=author,
            config=run_config,
            diff_ids=below.diff_ids + ((layer.diff_id,) if layer else ()),
            history=(*below.history, line),
        )
        image_id = images.create_image(store, parent, config)
        if reference:
            stored.tag(store, reference.canonical, image_id)
    news = {**container.attributes, "comment": message, "imageID": image_id, "imageRef": name}
    store.event("container", "commit", container.id, news)
    return image_id


def target(name: str) -> Reference | None:
    """What a new image shall be called.  Raises UsageError."""
    if not name:
        return None
    reference = references.parse(name)
    if reference.digest:
        raise UsageError(f"{name}: a new image cannot be named by digest", exit_code=1)
    return reference


def now() -> str:
    """RFC 3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _layer(store: Store, container: Container, pause: bool) -> Layer | None:
    """The container's changes as a stored layer; None when there are none."""
    driver = drivers.load(container.driver)
    place = store.paths.container(container.id)
    lowers = layers.lowers(store, container.chain_id)
    with frozen(store, container, pause):
        if next(iter(driver.changes(place, lowers, container.id_base)), None) is None:
            return None
        return transfer(
            lambda out: driver.write_diff(place, lowers, container.id_base, out),
            lambda stream: layers.add_stream(store, driver, stream, container.chain_id),
        )


def run_config_of(config: ContainerConfig, image: RunConfig) -> RunConfig:
    """What a container ran with, as an image's defaults; what it had by default stays unsaid."""
    anonymous = {mount.target for mount in config.mounts if mount.anonymous}
    return replace(
        image,
        entrypoint=config.entrypoint,
        command=config.command,
        env=config.env,
        working_dir="" if config.working_dir == "/" and not image.working_dir else config.working_dir,
        user=config.user,
        labels=config.labels,
        exposed=config.exposed,
        volumes=tuple(sorted({*image.volumes, *anonymous})),
        stop_signal="" if config.stop_signal == "SIGTERM" and not image.stop_signal else config.stop_signal,
        health=config.health if config.health.test else image.health,
        on_build=(),
    )
