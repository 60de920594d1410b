"""Documents for ``inspect`` and templates: what Go's types know and plain JSON does not.

A dict is a struct, whose fields are fixed; a GoMap is a map, of which a missing key is no error.  Nil slices and
maps are empty in a template and null in JSON.
"""

from __future__ import annotations

from typing import Any


class GoMap(dict[str, Any]):
    """``.Labels.x`` of a missing key prints ``<no value>``; ``index`` gives ``zero`` for it."""

    zero: Any = ""


class NilMap(GoMap):
    """A map that is null in JSON."""


class NilSlice(list[Any]):
    """A list that is null in JSON."""


class Nil:
    """A nil pointer: false, and no field of it can be had."""

    def __bool__(self) -> bool:
        return False


NIL = Nil()


class GoStruct(dict[str, Any]):
    """A struct some of whose fields (``omitted``) are nil and left out of the JSON form."""

    omitted: tuple[str, ...] = ()


def struct(fields: dict[str, Any], *optional: str) -> GoStruct:
    """The fields; of the optional ones those without a value are left out."""
    made = GoStruct((name, value) for name, value in fields.items() if name not in optional or value)
    made.omitted = tuple(name for name in optional if name not in made)
    return made


def slice_(items: Any) -> list[Any]:
    """A list; nil when it is empty."""
    return list(items) or NilSlice()


def map_(items: Any) -> GoMap:
    """A map; nil when it is empty."""
    return GoMap(items) or NilMap()


def to_plain(value: Any) -> Any:
    """What ``json.dumps`` takes: maps sorted by key, methods left out."""
    if isinstance(value, (NilMap, NilSlice, Nil)) or callable(value):
        return None
    if isinstance(value, dict):
        keys = sorted(value) if isinstance(value, GoMap) else value
        return {str(key): to_plain(value[key]) for key in keys if not callable(value[key])}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value
