"""A service's volumes, as ``--mount`` words."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Sequence

from lxcwrap.deploy.compose.files import located
from lxcwrap.deploy.compose.model import Model
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import checked, size_of
from lxcwrap.model import mount_flag

_REFUSED = {"npipe": "named pipes are for Windows", "cluster": "cluster volumes need a Swarm"}


def flags(model: Model, service: Node, place: str) -> Iterator[str]:
    for number, volume in enumerate(_listed(service)):
        where = f"{place}.volumes[{number}]"
        text = _csv(_words(model, volume, where))
        checked(Node(text, volume.mark, text), where, mount_flag.mount)
        yield f"--mount={text}"


def written(model: Model, service: Node, place: str) -> tuple[str, ...]:
    """Keys of the named volumes that the service writes."""
    found = {
        model.key(volume.get("source"), model.known("volumes", volume.get("source"), volume, f"{place}.volumes"))
        for volume in _listed(service)
        if volume.get("type") == "volume" and volume.get("source") and not volume.get("read_only")
    }
    return tuple(sorted(found))


def check_targets(service: Node, files: Sequence[str], place: str) -> None:
    """Two things cannot be at one place.  ``files``: where secrets and configs are."""
    memory = service.child("tmpfs")
    targets = [os.path.normpath(volume.get("target")) for volume in _listed(service)]
    targets += [os.path.normpath(item.text.partition(":")[0]) for item in (memory.items if memory else ())]
    targets += files
    seen: set[str] = set()
    for target in targets:
        if target in seen:
            raise service.error(f"{place}: two of its mounts are at {target}")
        seen.add(target)


def named(service: Node) -> set[str]:
    """Names of the named volumes that the service has."""
    return {volume.get("source") for volume in _listed(service) if volume.get("type") == "volume"} - {None}


def _listed(service: Node) -> Iterator[Node]:
    node = service.child("volumes")
    yield from node.items if node else ()


def _words(model: Model, volume: Node, place: str) -> Iterator[str]:
    kind = volume.get("type")
    if kind in _REFUSED:
        raise volume.error(f"{place}: type {kind} is not supported: {_REFUSED[kind]}")
    for other in ("bind", "volume", "tmpfs", "image"):
        if other != kind and volume.child(other) and set(volume.child(other).mapping) - {"selinux"}:  # type: ignore[union-attr]
            raise volume.error(f"{place}: {other} does not go with type {kind}")
    yield f"type={kind}"
    source = _source(model, volume, kind, place)
    if source:
        yield f"source={source}"
    yield f"target={volume.get('target')}"
    if volume.get("read_only"):
        yield "readonly"
    yield from _KINDS[kind](volume)


def _source(model: Model, volume: Node, kind: str, place: str) -> str:
    source = volume.get("source", default="")
    if kind == "tmpfs":
        if source:
            raise volume.error(f"{place}: a tmpfs has no source")
        return ""
    if kind == "volume":
        return model.key(source, model.known("volumes", source, volume, place)) if source else ""
    if not source:
        raise volume.error(f"{place}: source is missing")
    if kind != "bind":
        return str(source)
    if source.endswith("/docker.sock"):
        model.warn(f"{volume.mark}: {place}: there is no Docker daemon, and no socket of one")
    return located(source, volume.mark.folder)


def _bind(volume: Node) -> Iterator[str]:
    if volume.get("bind", "create_host_path", default=True):
        yield "bind-create-src"
    if volume.get("bind", "propagation"):
        yield f"bind-propagation={volume.get('bind', 'propagation')}"
    if volume.get("bind", "recursive"):
        yield f"bind-recursive={volume.get('bind', 'recursive')}"


def _volume(volume: Node) -> Iterator[str]:
    if volume.get("volume", "nocopy"):
        yield "volume-nocopy"
    if volume.get("volume", "subpath"):
        yield f"volume-subpath={volume.get('volume', 'subpath')}"
    for name, value in volume.get("volume", "labels", default={}).items():
        yield f"volume-label={name}={value.text}"


def _tmpfs(volume: Node) -> Iterator[str]:
    if volume.get("tmpfs", "size"):
        yield f"tmpfs-size={size_of(volume.child('tmpfs', 'size'))}"
    if volume.get("tmpfs", "mode"):
        yield f"tmpfs-mode={volume.get('tmpfs', 'mode')}"


def _image(volume: Node) -> Iterator[str]:
    if volume.get("image", "subpath"):
        yield f"image-subpath={volume.get('image', 'subpath')}"


_KINDS = {"bind": _bind, "volume": _volume, "tmpfs": _tmpfs, "image": _image}


def _csv(words: Iterator[str]) -> str:
    return ",".join('"' + word.replace('"', '""') + '"' if set(word) & {",", '"', "\n"} else word for word in words)
