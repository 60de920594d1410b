"""Flags that a table's fields are as they stand, and how flags are written: one word each, ``--name=value``."""

from __future__ import annotations

from collections.abc import Iterator

from lxcwrap.deploy.compose.kinds import Object, Pairs
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import Size, Truth, size_of


def of(kind: Object, node: Node) -> Iterator[str]:
    """The flags of the fields of ``node`` that have one, in the table's order."""
    for key, known in kind.fields.items():
        child = node.child(key)
        if child is None or child.value is None or not known.flag:
            continue
        if isinstance(known.kind, Truth):
            yield from [known.flag] if child.value else []
        elif isinstance(known.kind, Pairs):
            separator = ":" if known.flag == "--add-host" else "="
            yield from (f"{known.flag}={name}{_valued(value, separator)}" for name, value in child.mapping.items())
        elif isinstance(child.value, tuple):
            yield from (f"{known.flag}={item.text}" for item in child.items)
        elif isinstance(known.kind, Size):
            yield f"{known.flag}={size_of(child)}"
        else:
            yield f"{known.flag}={child.value}"


def _valued(value: Node, separator: str) -> str:
    return "" if value.value is None else f"{separator}{value.text}"
