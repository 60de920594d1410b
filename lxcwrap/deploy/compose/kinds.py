"""The kinds of values that have others in them: commands, lists, pairs and objects; and keys that are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import TRUTH, Kind, Schema, Text, Truth, Warn, check_controls, checked, wants

_REPLACES = "this takes the place of an earlier item with the same target"
_NAME = re.compile(r"[a-zA-Z0-9._-]+")


@dataclass(frozen=True)
class Words(Kind):
    """A command: a text that is split as a shell splits it, or a list of words.  A later file's replaces it."""

    shell: bool = False  # a text stays whole, as the only word

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        word = Text(lines=True, truths=True)
        if node.value is None:
            return node
        if isinstance(node.value, tuple):
            items = tuple(word.read(item, f"{place}[{at}]", warn) for at, item in enumerate(node.value))
            return node.with_value(items)
        word.read(node, place, warn)
        if self.shell:
            return node
        import shlex

        try:
            found = shlex.split(node.value)
        except ValueError as error:
            raise node.error(f"{place}: {str(error).lower()}: {node.text!r:.100}") from None
        return node.with_value(tuple(replace(node, value=one, text=one, quoted=True) for one in found))

    def schema(self) -> Schema:
        return {"type": ["string", "array", "null"], "items": {"type": ["string", "number", "boolean"]}}


def _whole(node: Node) -> str:
    """What tells two items of a list apart: all of them."""
    return repr(_bare(node))


def same(one: Node, other: Node) -> bool:
    """Whether two nodes say the same, wherever they stand."""
    return bool(_bare(one) == _bare(other))


def _bare(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _bare(child) for key, child in sorted(node.value.items())}
    if isinstance(node.value, tuple):
        return [_bare(child) for child in node.value]
    return node.value


@dataclass(frozen=True)
class Many(Kind):
    """A list.  A later file's items come after; one with the same ``key`` takes the other's place."""

    item: Kind
    key: Callable[[Node], str] = _whole
    single: bool = False  # one value stands for a list of it
    limit: int = 10_000

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if not isinstance(node.value, tuple):
            if not self.single or node.value is None:
                raise wants(node, place, "a list")
            node = node.with_value((replace(node, tag=""),))
        found = [self.item.read(item, f"{place}[{at}]", warn) for at, item in enumerate(node.value)]
        flat = [one for item in found for one in (item.items if isinstance(item.value, tuple) else (item,))]
        if len(flat) > self.limit:
            raise node.error(f"{place}: more than {self.limit} items")
        return node.with_value(self._unique(flat, lambda item: warn(f"{item.mark}: {place}: {_REPLACES}")))

    def merge(self, base: Node, over: Node) -> Node:
        return over.with_value(self._unique((*base.items, *over.items)))

    def _unique(self, items: Iterable[Node], replaced: Callable[[Node], None] | None = None) -> tuple[Node, ...]:
        found: dict[str, Node] = {}
        for item in items:
            before = found.get(key := self.key(item))
            if before and replaced and not same(before, item):
                replaced(item)
            found[key] = item
        return tuple(found.values())

    def schema(self) -> Schema:
        array = {"type": "array", "items": self.item.schema()}
        return {"anyOf": [array, self.item.schema()]} if self.single else array


@dataclass(frozen=True)
class Pairs(Kind):
    """Texts by name: a mapping, or a list of ``NAME=VALUE``.  A name alone (or null) has no value yet."""

    separators: str = "="
    lines: bool = False
    empty: bool = True  # a name may be without a value
    check: Callable[[str, str], Any] | None = None  # raises for a name and value that are not allowed

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        text = Text(lines=self.lines, truths=True)
        found: dict[str, Node] = {}
        for name, value in self._pairs(node, place):
            check_controls(value, name, place)
            if not name.strip():
                raise value.error(f"{place}: a name is empty")
            if value.value is None and not self.empty:
                raise value.error(f"{place}.{name}: a value is wanted")
            found[name] = value if value.value is None else text.read(value, f"{place}.{name}", warn)
            if self.check:
                checked(value, place, partial(self.check, name))
        return node.with_value(found)

    def _pairs(self, node: Node, place: str) -> Iterable[tuple[str, Node]]:
        if isinstance(node.value, dict):
            yield from node.value.items()
            return
        if not isinstance(node.value, tuple):
            raise wants(node, place, "a mapping, or a list of NAME=VALUE,")
        for item in node.value:
            if not isinstance(item.value, str):
                raise wants(item, place, "NAME=VALUE")
            name, found, value = _split(item.text, self.separators)
            yield name, replace(item, value=value if found else None, text=value, quoted=True)

    def merge(self, base: Node, over: Node) -> Node:
        return over.with_value({**base.mapping, **over.mapping})

    def schema(self) -> Schema:
        scalar = {"type": ["string", "number", "boolean", "null"]}
        return {
            "anyOf": [
                {"type": "object", "additionalProperties": scalar},
                {"type": "array", "items": {"type": "string"}},
            ]
        }


def _split(text: str, separators: str) -> tuple[str, str, str]:
    """At the first separator of the first kind that there is."""
    for separator in separators:
        if separator in text:
            return text.partition(separator)
    return text, "", ""


@dataclass(frozen=True)
class Field:
    """A key of an object: its kind, what it does, and the flag of ``create`` that it is as it stands."""

    kind: Kind
    about: str
    flag: str = ""


@dataclass(frozen=True)
class Object(Kind):
    """A mapping with keys that are known; ``x-`` keys are anybody's, but for those that the table has."""

    fields: dict[str, Field] = field(hash=False)
    needs: tuple[str, ...] = ()

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if not isinstance(node.value, dict):
            raise wants(node, place or "the file", "a mapping")
        found: dict[str, Node] = {}
        for key, child in node.value.items():
            known = self.fields.get(key)
            where = f"{place}.{key}" if place else key
            if known is None:
                _unknown(child, key, where, self.fields, warn)
            elif child.tag == "reset":
                found[key] = child
            elif child.value is not None or isinstance(known.kind, Refused | Words | Map):
                read = known.kind.read(child, where, warn)
                if not isinstance(known.kind, Noted):
                    found[key] = replace(read, tag=child.tag)
        for key in self.needs:
            if key not in found or found[key].tag == "reset":
                raise node.error(f"{place}: {key} is missing")
        return node.with_value(found)

    def merge(self, base: Node, over: Node) -> Node:
        found = dict(base.mapping)
        for key, child in over.mapping.items():
            if child.tag == "reset":
                found.pop(key, None)
            elif key not in found or child.tag == "override":
                found[key] = child
            elif child.value is not None:
                found[key] = self.fields[key].kind.merge(found[key], child)
        return over.with_value(found)

    def schema(self) -> Schema:
        properties = {
            key: {**known.kind.schema(), "description": known.about or getattr(known.kind, "reason", "")}
            for key, known in self.fields.items()
        }
        return {
            "type": "object",
            "properties": properties,
            "patternProperties": {"^x-": {}},
            "additionalProperties": False,
            **({"required": list(self.needs)} if self.needs else {}),
        }


@dataclass(frozen=True)
class Driven(Object):
    """Options of a driver: those of one driver are not mixed with another's."""

    def merge(self, base: Node, over: Node) -> Node:
        drivers = {base.get("driver"), over.get("driver")} - {None}
        return over if len(drivers) > 1 else super().merge(base, over)


@dataclass(frozen=True)
class Map(Kind):
    """Values of one kind by names that the user chose.  ``listed``: a list of names will do."""

    item: Kind
    what: str
    listed: bool = False
    free: bool = False  # names may hold anything

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if isinstance(node.value, tuple) and self.listed:
            node = node.with_value(dict(self._named(node, place)))
        if node.value is None:
            node = node.with_value({})
        if not isinstance(node.value, dict):
            raise wants(node, place, f"a mapping{' or a list of names' if self.listed else ''}")
        found = {}
        for name, child in node.value.items():
            if not self.free and not _NAME.fullmatch(name):
                raise child.error(f"{place}: {name!r:.60} is not a name for a {self.what}", _NAME_HINT)
            if child.value is None and child.tag != "reset":
                child = child.with_value({})
            found[name] = child if child.tag == "reset" else self._item(child, f"{place}.{name}", warn)
        return node.with_value(found)

    def _item(self, child: Node, place: str, warn: Warn) -> Node:
        return replace(self.item.read(child, place, warn), tag=child.tag)

    def _named(self, node: Node, place: str) -> Iterable[tuple[str, Node]]:
        for item in node.items:
            if not isinstance(item.value, str):
                raise wants(item, place, "a name")
            yield item.value, item.with_value({})

    def merge(self, base: Node, over: Node) -> Node:
        found = dict(base.mapping)
        for name, child in over.mapping.items():
            if child.tag == "reset":
                found.pop(name, None)
            elif name in found and child.tag != "override":
                found[name] = self.item.merge(found[name], child)
            else:
                found[name] = child
        return over.with_value(found)

    def schema(self) -> Schema:
        item = _or_null(self.item.schema())
        mapping: Schema = {"type": ["object", "null"], "additionalProperties": item}
        if not self.free:
            mapping = {"type": ["object", "null"], "patternProperties": {f"^{_NAME.pattern}$": item},
                       "additionalProperties": False}  # fmt: skip
        return {"anyOf": [mapping, {"type": "array", "items": {"type": "string"}}]} if self.listed else mapping


def _or_null(schema: Schema) -> Schema:
    if schema.get("type") == "object":
        return {**schema, "type": ["object", "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


_NAME_HINT = "letters, digits, '.', '_' and '-'"


@dataclass(frozen=True)
class Short(Kind):
    """An object that has a short form: a text (or number) from which ``parse`` makes the object, or several."""

    long: Object
    parse: Callable[[Node, str], Any]  # a mapping, or a list of mappings, of texts

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if isinstance(node.value, dict):
            return self.long.read(node, place, warn)
        Text(truths=True).read(node, place, warn)
        made = self.parse(node, place)
        if isinstance(made, list):
            return node.with_value(tuple(self._object(node, one, place, warn) for one in made))
        return self._object(node, made, place, warn)

    def _object(self, node: Node, made: dict[str, Any], place: str, warn: Warn) -> Node:
        return self.long.read(_nodes(node, made), place, warn)

    def merge(self, base: Node, over: Node) -> Node:
        return self.long.merge(base, over)

    def schema(self) -> Schema:
        return {"anyOf": [{"type": ["string", "number"]}, self.long.schema()]}


def _nodes(node: Node, made: Any) -> Node:
    """Plain texts as nodes that stand where ``node`` does."""
    if isinstance(made, dict):
        return replace(node, value={key: _nodes(node, value) for key, value in made.items()}, tag="")
    return replace(node, value=made, text=made, quoted=True, tag="")


@dataclass(frozen=True)
class External(Kind):
    """Whether something is on the hosts already; a mapping with its name there is the older form."""

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if isinstance(node.value, dict):
            return Object({"name": Field(Text(), "")}, needs=("name",)).read(node, place, warn)
        return Truth().read(node, place, warn)

    def schema(self) -> Schema:
        named = {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}
        return {"anyOf": [Truth().schema(), named]}


@dataclass(frozen=True)
class Refused(Kind):
    """A key of Compose's that cannot be honoured."""

    reason: str
    unless: tuple[str, ...] = ()  # values that ask for nothing

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        if node.is_scalar and node.value in self.unless:
            return node
        raise node.error(f"{place} is not supported: {self.reason}")

    def schema(self) -> Schema:
        if self.unless:
            return {"enum": [*self.unless, *(TRUTH[one] for one in self.unless if one in TRUTH)]}
        return {"not": {}}


def settled(node: Node) -> Node:
    """Without what ``!reset`` takes away."""
    if isinstance(node.value, dict):
        kept = {key: settled(child) for key, child in node.value.items() if child.tag != "reset"}
        return node.with_value(kept)
    if isinstance(node.value, tuple):
        return node.with_value(tuple(settled(child) for child in node.value if child.tag != "reset"))
    return node


@dataclass(frozen=True)
class Noted(Kind):
    """A key that changes nothing here; a warning says so."""

    reason: str

    def read(self, node: Node, place: str, warn: Warn) -> Node:
        warn(f"{node.mark}: {place} has no effect: {self.reason}")
        return node

    def schema(self) -> Schema:
        return {}


def _unknown(node: Node, key: str, place: str, known: Iterable[str], warn: Warn) -> None:
    if not key.startswith("x-"):
        raise node.error(f"{place}: unknown key{nearest(key, known)}")
    near = nearest(key, [name for name in known if name.startswith("x-")], 0.8)
    if near:
        warn(f"{node.mark}: {place} is nobody's key{near}")


def nearest(key: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean …?``, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(key, sorted(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near and near[0] != key else ""
