"""The merged document as plain data: a Compose file again, with nothing left to look up."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from enum import Enum
from typing import Any

from lxcwrap.deploy.application import Service
from lxcwrap.deploy.compose import building, variables
from lxcwrap.deploy.compose.files import located
from lxcwrap.deploy.compose.model import Model
from lxcwrap.deploy.compose.node import Node, plain

_HIDDEN = "(not shown)"
_ORDER = ("services", "networks", "volumes", "secrets", "configs", "x-lxcwrap")


def document(model: Model) -> dict[str, Any]:
    """What the files say, as one; the content of secrets is left out."""
    found: dict[str, Any] = {"name": model.name}
    for key in _ORDER:
        node = model.document.child(key)
        if node and node.mapping:
            found[key] = {name: _entry(model, key, name, child) for name, child in node.mapping.items()}
    found["services"] = {name: found["services"][name] for name in model.services}
    escaped: dict[str, Any] = _escaped(found)
    return escaped


def _entry(model: Model, kind: str, name: str, node: Node) -> Any:
    if kind == "services":
        return _service(model, name, node) if name in model.services else None
    shown = plain(node)
    if kind in ("secrets", "configs") and "file" in shown:
        shown["file"] = located(shown["file"], node.mark.folder)
    if kind == "secrets" and "content" in shown:
        shown["content"] = _HIDDEN
    return shown


def _service(model: Model, name: str, node: Node) -> dict[str, Any]:
    shown: dict[str, Any] = plain(node)
    for key in ("env_file", "label_file"):
        shown.pop(key, None)
    shown["image"] = building.image(model, name, node)
    environment = variables.environment(model, node, f"services.{name}")
    labels = variables.labels(node, f"services.{name}")
    for key, values in (("environment", environment), ("labels", labels)):
        shown.pop(key, None)
        if values:
            shown[key] = values
    build = node.child("build")
    if build:
        shown["build"]["context"] = located(build.get("context", default="."), build.mark.folder)
        if build.child("args"):
            arguments = building.arguments(model, build.child("args"))  # type: ignore[arg-type]
            shown["build"]["args"] = {name: value.text for name, value in arguments}
    volumes = node.child("volumes")
    for item, entry in zip(shown.get("volumes", ()), volumes.items if volumes else (), strict=True):
        if item["type"] == "bind":
            item["source"] = located(item["source"], entry.mark.folder)
    return shown


def _escaped(value: Any) -> Any:
    """A dollar sign is written twice, so that it is no variable."""
    if isinstance(value, dict):
        return {key: _escaped(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_escaped(child) for child in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def digest(service: Service) -> str:
    """A hash of all that the files say of a service."""
    text = json.dumps(asdict(service), sort_keys=True, default=_value)
    return hashlib.sha256(text.encode()).hexdigest()


def _value(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(type(value).__name__)
