"""The text of a Compose file as nodes that know their places.  Bombs, foreign tags and endless nesting are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxcwrap.deploy.compose.node import Mark, Node, wrong
from lxcwrap.errors import UsageError

SIZE_LIMIT = 4 * 1024 * 1024  # bytes of a file
NODE_LIMIT = 100_000  # values of a file, with all aliases followed
DEPTH_LIMIT = 40
KEY_LIMIT = 500

_YAML = "tag:yaml.org,2002:"
_TAGS = {"!reset": "reset", "!override": "override", "!": "quoted", f"{_YAML}str": "quoted", None: ""}
_KNOWN = (*(f"{_YAML}{name}" for name in ("int", "float", "bool", "null", "map", "seq", "merge")),)
_NULL = ("", "~", "null", "Null", "NULL")
_MARKED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def documents(data: bytes, name: str, folder: str) -> list[Node]:
    """The file's documents.  ``name`` is how messages call it.  Raises UsageError."""
    import yaml

    if len(data) > SIZE_LIMIT:
        raise wrong(name, f"the file is larger than {SIZE_LIMIT // 1024 // 1024} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise wrong(f"{name}:{data[: error.start].count(10) + 1}", "the file is not UTF-8 text") from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    composer = _Composer(name, folder)
    try:
        found = list(composer.documents(yaml.parse(text, Loader=loader)))
    except yaml.YAMLError as error:
        raise _syntax(error, name) from None
    return [node for node in found if node.value is not None]


def _syntax(error: Any, name: str) -> UsageError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    return wrong(where, f"not valid YAML: {what}")


class _Composer:
    """Makes nodes of a parser's events, counting as it goes."""

    def __init__(self, name: str, folder: str) -> None:
        self._name = name
        self._folder = folder
        self._anchors: dict[str, tuple[Node, int, int]] = {}  # with the number of values in it, and its height
        self._count = 0
        self._deepest = 0

    def documents(self, events: Iterator[Any]) -> Iterator[Node]:
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                self._anchors = {}
            elif kind not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                yield self._node(event, events, 0)

    def _mark(self, event: Any) -> Mark:
        return Mark(self._name, event.start_mark.line + 1, event.start_mark.column + 1, self._folder)

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        mark = self._mark(event)
        kind = type(event).__name__
        before, outer = self._count, self._deepest
        self._deepest = 0
        self._grow(1, mark)
        self._reach(depth, mark)
        if kind == "AliasEvent":
            node = self._alias(event.anchor, depth, mark)
            self._deepest = max(self._deepest, outer)
            return node
        tag = self._tag(event, mark)
        if kind == "ScalarEvent":
            node = self._scalar(event, tag, mark)
        elif kind == "MappingStartEvent":
            node = Node(self._mapping(events, depth + 1), mark, tag=tag)
        else:
            node = Node(tuple(self._sequence(events, depth + 1)), mark, tag=tag)
        if tag == "reset":  # whatever stands there
            node = Node(None, mark, tag=tag)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._count - before, self._deepest - depth)
        self._deepest = max(self._deepest, outer)
        return node

    def _reach(self, depth: int, mark: Mark) -> None:
        self._deepest = max(self._deepest, depth)
        if depth > DEPTH_LIMIT:
            raise wrong(mark, f"nested deeper than {DEPTH_LIMIT} levels, with its aliases followed")

    def _grow(self, number: int, mark: Mark) -> None:
        self._count += number
        if self._count > NODE_LIMIT:
            raise wrong(mark, f"the file has more than {NODE_LIMIT} values, with its aliases followed")

    def _alias(self, anchor: str, depth: int, mark: Mark) -> Node:
        if anchor not in self._anchors:
            raise wrong(mark, f"alias *{anchor:.40} names no anchor that stands before it, or its own surroundings")
        node, size, height = self._anchors[anchor]
        self._grow(size, mark)
        self._reach(depth + height, mark)
        return node

    def _tag(self, event: Any, mark: Mark) -> str:
        if event.tag in _KNOWN:
            return ""
        if event.tag not in _TAGS:
            raise wrong(mark, f"tag {event.tag!r:.60} is not allowed", hint="there are !reset and !override")
        return _TAGS[event.tag]

    def _scalar(self, event: Any, tag: str, mark: Mark) -> Node:
        text = event.value
        found = _MARKED.search(text)
        if found:
            raise wrong(mark, f"the value holds the control character {found[0]!r}")
        quoted = bool(event.style) or tag == "quoted"
        value = None if not quoted and text in _NULL else text
        return Node(value, mark, text, quoted, tag if tag != "quoted" else "")

    def _sequence(self, events: Iterator[Any], depth: int) -> Iterator[Node]:
        for event in events:
            if type(event).__name__ == "SequenceEndEvent":
                return
            yield self._node(event, events, depth)

    def _mapping(self, events: Iterator[Any], depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        merged: list[Node] = []
        for event in events:
            if type(event).__name__ == "MappingEndEvent":
                break
            key = self._node(event, events, depth)
            value = self._node(next(events), events, depth)
            self._check_key(key)
            if key.text == "<<" and not key.quoted:
                merged += self._merge(value)
            elif key.text in found:
                raise key.error(f"key {key.text!r:.60} stands here twice")
            else:
                found[key.text] = Node(value.value, key.mark, value.text, value.quoted, value.tag)
        for node in merged:  # what stands first wins
            for name, child in node.mapping.items():
                self._grow(1, child.mark)
                found.setdefault(name, child)
        return found

    def _check_key(self, key: Node) -> None:
        if not isinstance(key.value, str) and not (key.is_scalar and key.text):
            raise key.error("a key is neither a text nor a number")
        if len(key.text) > KEY_LIMIT or not key.text.isprintable():
            raise key.error(f"key {key.text!r:.60} is longer than {KEY_LIMIT} characters, or not printable")

    def _merge(self, value: Node) -> list[Node]:
        nodes = [value] if isinstance(value.value, dict) else list(value.items)
        if not nodes or not all(isinstance(node.value, dict) for node in nodes):
            raise value.error("<< wants a mapping, or a list of mappings")
        return nodes
