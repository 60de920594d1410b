"""``inspect`` of an image: Docker's document.

Source: Docker Engine API v1.48, ImageInspect.
"""

from __future__ import annotations

from typing import Any

from lxcwrap.actions import images as named
from lxcwrap.actions.inspect_container import graph_driver
from lxcwrap.model import reference as references
from lxcwrap.model.godata import GoMap, NilMap, slice_, struct
from lxcwrap.model.image import ImageConfig, RunConfig
from lxcwrap.model.phrases import rfc3339
from lxcwrap.store import images, settings
from lxcwrap.store.database import Store

_MAPS = ("Labels", "ExposedPorts", "Volumes")


def document(store: Store, text: str) -> dict[str, Any]:
    """The document of the image named by ``text``.  Raises NotFound or Conflict."""
    image = named.resolve(store, text)
    config = images.config(store, image.id)
    comment = config.history[-1].comment if config.history else ""
    plain = {
        "Id": image.id,
        "RepoTags": [references.parse(tag).familiar for tag in image.references],
        "RepoDigests": [references.parse(f"{name}@{digest}").familiar for name, digest in image.digests],
        "Parent": "",
        "Comment": comment,
        "Created": config.created or rfc3339(0),
        "DockerVersion": "",
        "Author": config.author,
        "Config": _config(config.config),
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": image.size,
        "GraphDriver": graph_driver(store, settings.get(store, "storage-driver") or "", image.chain_id),
        "RootFS": _rootfs(config),
        "Metadata": {"LastTagTime": rfc3339(image.added)},
    }
    return struct(plain, "Variant")


def _rootfs(config: ImageConfig) -> dict[str, Any]:
    return {"Type": "layers", **({"Layers": list(config.diff_ids)} if config.diff_ids else {})}


def _config(config: RunConfig) -> dict[str, Any]:
    """The image's ``config``, with the members that templates expect of every image."""
    plain: dict[str, Any] = {
        "User": config.user,
        "Env": slice_(config.env),
        "Cmd": slice_(config.command),
        "Volumes": NilMap(),
        "WorkingDir": config.working_dir,
        "Entrypoint": slice_(config.entrypoint),
        "OnBuild": slice_(config.on_build),
        "Labels": NilMap(),
    } | config.to_json()
    return {
        key: GoMap(value) if key in _MAPS and not isinstance(value, NilMap) else value for key, value in plain.items()
    }
