"""The merged document, and what its parts are called on the hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lxcwrap.deploy.compose.kinds import nearest
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import checked
from lxcwrap.model.names import check_name

DEFAULT_NETWORK = "default"


@dataclass(frozen=True)
class Model:
    """``services`` are those that the profiles leave."""

    name: str
    document: Node
    services: Mapping[str, Node]
    environment: Mapping[str, str]
    warn: Callable[[str], None]

    def entries(self, kind: str) -> Mapping[str, Node]:
        """What the file says of networks, volumes, secrets or configs, by name."""
        node = self.document.child(kind)
        return node.mapping if node else {}

    def known(self, kind: str, name: str, use: Node, place: str) -> Node | None:
        """The entry ``name``.  Raises UsageError when there is none, at the place that uses it."""
        entries = self.entries(kind)
        if name in entries:
            return entries[name]
        if kind == "networks" and name == DEFAULT_NETWORK:
            return None
        raise use.error(
            f"{place}: there is no {kind[:-1]} {name!r:.60} at the top level{nearest(name, entries)}",
            f"add {name}: below {kind}:",
        )

    def key(self, name: str, entry: Node | None) -> str:
        """What a network or volume is called on the hosts."""
        if entry is None:
            return f"{self.name}_{name}"
        given = entry.get("name") or entry.get("external", "name")
        key = str(given or (name if is_external(entry) else f"{self.name}_{name}"))
        checked(Node(key, entry.mark, key), name, lambda text: check_name(text, "its"))
        return key


def is_external(entry: Node) -> bool:
    external = entry.get("external", default=False)
    return external is True or isinstance(external, dict)
