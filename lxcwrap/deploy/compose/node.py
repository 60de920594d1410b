"""A value of a Compose file together with where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from lxcwrap.errors import UsageError


class Mark(NamedTuple):
    """A place in a file (from 1).  Relative paths that stand there are relative to ``folder``."""

    file: str
    line: int
    column: int
    folder: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Node:
    """``value``: None, a scalar, nodes by key, or a tuple of nodes.

    Scalars are text until a kind of the table has read them; ``text`` keeps what was written.  A mapping's child has
    its key's mark.
    """

    value: Any
    mark: Mark
    text: str = ""
    quoted: bool = False
    tag: str = ""  # reset, override

    @property
    def mapping(self) -> Mapping[str, Node]:
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> Sequence[Node]:
        return self.value if isinstance(self.value, tuple) else ()

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.value, dict | tuple)

    def child(self, *keys: str) -> Node | None:
        """The node below, key by key; None where there is none."""
        node: Node | None = self
        for key in keys:
            node = node.mapping.get(key) if node else None
        return node

    def get(self, *keys: str, default: Any = None) -> Any:
        """The value below; ``default`` where there is none."""
        node = self.child(*keys)
        return default if node is None or node.value is None else node.value

    def with_value(self, value: Any) -> Node:
        return replace(self, value=value)

    def error(self, message: str, hint: str = "") -> UsageError:
        return wrong(self.mark, message, hint)


def wrong(mark: object, message: str, hint: str = "") -> UsageError:
    """What is wrong with a file: the place, what, and what to do."""
    return UsageError(f"{mark}: {message}", hint=hint, exit_code=1)


def plain(node: Node) -> Any:
    """As JSON and YAML have it; sizes and times as they were written."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(child) for child in node.value]
    return node.value
