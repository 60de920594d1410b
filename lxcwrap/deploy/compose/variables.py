"""A service's environment and labels, with what files on this machine say."""

from __future__ import annotations

from collections.abc import Iterator

from lxcwrap.deploy.compose import dotenv
from lxcwrap.deploy.compose.files import located
from lxcwrap.deploy.compose.model import Model
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import check_controls
from lxcwrap.deploy.observation import APP

_OURS = APP.partition(".")[0] + "."


def environment(model: Model, service: Node, place: str) -> dict[str, str]:
    """``environment`` over ``env_file``; names without a value take the caller's, if there is one."""
    found: dict[str, str] = {}
    for entry in _listed(service, "env_file"):
        text = _read(entry, entry.get("path"), f"{place}.env_file", needed=entry.get("required", default=True))
        path = located(entry.get("path"), entry.mark.folder)
        raw = entry.get("format") == "raw"
        found.update(dotenv.parse(text, path, model.environment, model.warn, earlier=found, raw=raw))
    for name, value in _pairs(service, "environment"):
        if value.value is not None:
            found[name] = value.text
        elif name in model.environment:
            found[name] = model.environment[name]
        else:
            found.pop(name, None)
    for name, text in found.items():
        check_controls(service.child("environment") or service, text, f"{place}.environment.{name}")
    return found


def labels(service: Node, place: str) -> dict[str, str]:
    """``labels`` over ``label_file`` over ``deploy.labels``."""
    found: dict[str, str] = {}
    for name, value in (service.child("deploy", "labels") or service.with_value({})).mapping.items():
        found[name] = value.text if value.value is not None else ""
    for entry in _listed(service, "label_file"):
        text = _read(entry, entry.text, f"{place}.label_file")
        path = located(entry.text, entry.mark.folder)
        found.update(dotenv.parse(text, path, {}, lambda line: None, raw=True))
    for name, value in _pairs(service, "labels"):
        found[name] = value.text if value.value is not None else ""
    for name in found:
        if name.startswith(_OURS):
            raise service.error(f"{place}.labels: {name}: labels that begin with {_OURS} are lxcwrap's own")
        if name.split() != [name]:
            raise service.error(f"{place}.labels: {name!r:.60} has white space in the name")
    return found


def _listed(service: Node, key: str) -> Iterator[Node]:
    node = service.child(key)
    yield from node.items if node else ()


def _pairs(service: Node, key: str) -> Iterator[tuple[str, Node]]:
    node = service.child(key)
    yield from node.mapping.items() if node else ()


def _read(entry: Node, path: str, place: str, *, needed: bool = True) -> str:
    text = dotenv.read(located(path, entry.mark.folder), path)
    if text is None and needed:
        raise entry.error(f"{place}: there is no file {located(path, entry.mark.folder)}")
    return text or ""
