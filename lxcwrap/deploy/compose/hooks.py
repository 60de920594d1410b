"""What an application asks of its operator's machine: hooks and hosts."""

from __future__ import annotations

from lxcwrap.deploy.application import Hook
from lxcwrap.deploy.compose.kinds import nearest
from lxcwrap.deploy.compose.model import Model
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import seconds_of

_WHEN = ("before-deploy", "after-deploy")


def listed(model: Model) -> tuple[Hook, ...]:
    found = []
    for when in _WHEN:
        node = model.document.child("x-lxcwrap", "hooks", when)
        found += [_hook(model, when, item) for item in (node.items if node else ())]
    return tuple(found)


def _hook(model: Model, when: str, item: Node) -> Hook:
    place = f"x-lxcwrap.hooks.{when}"
    words = tuple(word.text for word in item.get("command", default=()))
    if not words:
        raise item.error(f"{place}: the command is empty")
    service = item.get("service", default="")
    if service and service not in model.services:
        raise item.error(f"{place}: there is no service {service!r:.60}{nearest(service, model.services)}")
    return Hook(when, words, service, seconds_of(item.child("timeout"), 600))


def hosts(model: Model) -> str:
    node = model.document.child("x-lxcwrap", "hosts")
    return ",".join(item.text for item in node.items) if node else ""
