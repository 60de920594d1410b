"""Secrets and configs: where their content comes from, and the files that services get of them."""

from __future__ import annotations

import os.path

from lxcwrap.deploy.application import Content, ContentUse, Source
from lxcwrap.deploy.compose.files import located
from lxcwrap.deploy.compose.model import Model, is_external
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import checked
from lxcwrap.model.names import check_name

_FOLDERS = {"secrets": "/run/secrets", "configs": "/"}
_GIVEN = ("file", "environment", "content", "x-lxcwrap")


def listed(model: Model, kind: str) -> tuple[Content, ...]:
    """Those that services use, in the file's order."""
    used = {use.name for name, service in model.services.items() for use in uses(model, kind, name, service)}
    return tuple(_content(model, kind, name, entry) for name, entry in model.entries(kind).items() if name in used)


def _content(model: Model, kind: str, name: str, entry: Node) -> Content:
    place = f"{kind}.{name}"
    key = entry.get("name") or entry.get("external", "name") or name
    checked(Node(key, entry.mark, key), place, lambda text: check_name(text, kind[:-1]))
    given = [one for one in _GIVEN if entry.get(one)]
    if is_external(entry):
        if given:
            raise entry.error(f"{place}: external and {given[0]} exclude each other")
        return Content(name, key, Source.EXTERNAL)
    if len(given) != 1:
        what = f"{' and '.join(given)} exclude each other" if given else "nothing says where its content comes from"
        raise entry.error(f"{place}: {what}", "file, environment, content, external or x-lxcwrap: command")
    return _from(model, name, key, entry, given[0], place)


def _from(model: Model, name: str, key: str, entry: Node, given: str, place: str) -> Content:
    if given == "x-lxcwrap":
        words = entry.child("x-lxcwrap", "command")
        if words is None or not words.items:
            raise entry.error(f"{place}.x-lxcwrap: command is missing")
        return Content(name, key, Source.COMMAND, command=tuple(word.text for word in words.items))
    value = entry.get(given)
    if given == "file":
        value = located(value, entry.mark.folder)
    if given == "environment" and value not in model.environment:
        model.warn(f"{entry.mark}: {place}: variable {value} is not set")
    return Content(name, key, Source(given), value)


def uses(model: Model, kind: str, name: str, service: Node) -> tuple[ContentUse, ...]:
    """The files of ``kind`` (secrets, configs) in a service's containers."""
    node = service.child(kind)
    place = f"services.{name}.{kind}"
    return tuple(_use(model, kind, item, place) for item in (node.items if node else ()))


def _use(model: Model, kind: str, item: Node, place: str) -> ContentUse:
    name = item.get("source")
    model.known(kind, name, item, place)
    target = os.path.normpath(os.path.join(_FOLDERS[kind], item.get("target", default="") or name))
    if ".." in item.get("target", default="").split("/") or target == "/":
        raise item.error(f"{place}: target {item.get('target')!r:.80} is not a path in the container")
    mode = int(item.get("mode", default="0444"), 8)
    return ContentUse(name, target, item.get("uid", default=0), item.get("gid", default=0), mode)
