"""What ``run`` and ``create`` do with their options: the image, the merged configuration, the container."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lxcwrap.actions import create, run
from lxcwrap.cli.app import App
from lxcwrap.cli.platforms import parse_platform
from lxcwrap.cli.terminal import printable
from lxcwrap.errors import LxcwrapError
from lxcwrap.model.container import ContainerConfig, MountKind
from lxcwrap.model.image import Platform
from lxcwrap.storage import driver as drivers
from lxcwrap.storage.driver import Driver
from lxcwrap.store import images
from lxcwrap.store.containers import Container
from lxcwrap.store.images import Image


def make(app: App, config: ContainerConfig, options: dict[str, Any]) -> Container:
    """A new container.  What fails here exits with 125, as Docker's run does."""
    try:
        return _make(app, config, options)
    except LxcwrapError as error:
        error.exit_code = 125
        raise


def _make(app: App, config: ContainerConfig, options: dict[str, Any]) -> Container:
    driver = drivers.choose(app.store, app.storage_driver)

    find = finder(app, driver, options)
    image = find(config.image)
    defaults = images.config(app.store, image.id).config
    if any(mount.kind is MountKind.IMAGE for mount in config.mounts):
        from lxcwrap.actions import image_mounts

        config = replace(config, mounts=image_mounts.pinned(config.mounts, find))
    config = create.with_volumes_from(app.store, config, options["volumes_from"])
    merged = create.merge(defaults, config, entrypoint_given=options["entrypoint"] is not None)
    container = create.create(app.store, driver, merged, options["name"] or None, image)
    if config.cidfile:
        run.write_cidfile(config.cidfile, container.id)
    return container


def finder(app: App, driver: Driver, options: dict[str, Any]) -> Callable[[str], Image]:
    """Finds an image by what the user typed, and pulls it by the ``--pull`` policy."""
    wanted = parse_platform(options["platform"])
    return lambda text: run.image(
        app.store, text, options["pull"], lambda: _pull(app, driver, text, options, wanted), wanted
    )


def _pull(app: App, driver: Driver, text: str, options: dict[str, Any], wanted: Platform | None) -> Image:
    from lxcwrap.actions.pull import pull
    from lxcwrap.cli.progress import shown
    from lxcwrap.model.reference import parse

    if not options["quiet"] and options["pull"] != "always":
        print(printable(f"Unable to find image '{text}' locally"), file=sys.stderr)
    with shown(quiet=options["quiet"], errors=True) as progress:
        return pull(app.store, driver, parse(text).with_default_tag(), platform=wanted, progress=progress)
