"""The functions of Docker's templates: Go's own and those that Docker adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxcwrap.cli import goprint
from lxcwrap.cli.gosyntax import TemplateError
from lxcwrap.model.godata import GoMap, Nil

Function = Callable[..., Any]


def true(value: Any) -> bool:
    """Go's truth: false, 0, nil and what is empty are not."""
    return bool(value)


def length(value: Any) -> int:
    """Bytes of a string, items of anything else."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, (list, tuple, dict)):
        return len(value)
    raise TemplateError(f"template: len of type {goprint.type_name(value)}")


def index(value: Any, *keys: Any) -> Any:
    """``index .A "k" 0`` is A["k"][0]; a missing key is the map's zero value."""
    for key in keys:
        value = _item(value, key)
    return value


def _item(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        if not isinstance(key, str):
            raise TemplateError(f"template: index of a map with {goprint.type_name(key)} {goprint.plain(key)}")
        return value.get(key, value.zero if isinstance(value, GoMap) else None)
    if isinstance(value, (list, tuple, str)):
        _whole(key)
        if not 0 <= key < len(value):
            raise TemplateError(f"template: index out of range: {key}")
        return ord(value[key]) if isinstance(value, str) else value[key]
    if value is None or isinstance(value, Nil):
        raise TemplateError("template: index of nil")
    raise TemplateError(f"template: can't index item of type {goprint.type_name(value)}")


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TemplateError(f"template: {goprint.plain(value)} is not an integer")
    return value


def cut(value: Any, *bounds: Any) -> Any:
    """``slice x 1 2`` is x[1:2]."""
    if not isinstance(value, (str, list, tuple)) or len(bounds) > 2:
        raise TemplateError(f"template: can't slice item of type {goprint.type_name(value)}")
    low, high = (*map(_whole, bounds), *(0, len(value))[len(bounds) :])
    if not 0 <= low <= high <= len(value):
        raise TemplateError(f"template: slice bounds out of range: {low}:{high}")
    return value[low:high]


def equal(first: Any, *rest: Any) -> bool:
    """Whether the first equals any of the others."""
    if not rest:
        raise TemplateError("template: missing argument for comparison")
    first, *others = (None if isinstance(value, Nil) else value for value in (first, *rest))
    for other in others:
        if first is not None and other is not None:
            _comparable(first, other)
        if first == other:
            return True
    return False


def _comparable(one: Any, other: Any) -> None:
    kinds = {goprint.type_name(one), goprint.type_name(other)}
    if len(kinds) > 1 and kinds != {"int", "float64"}:
        raise TemplateError("template: incompatible types for comparison")
    if kinds & {"map", "slice", "func"}:
        raise TemplateError("template: non-comparable type")


def less(one: Any, other: Any) -> bool:
    _comparable(one, other)
    if one is None or isinstance(one, bool):
        raise TemplateError("template: invalid type for comparison")
    return bool(one < other)


def text(value: Any) -> str:
    """A string argument."""
    if not isinstance(value, str):
        raise TemplateError(f"template: wrong type for value; expected string; got {goprint.type_name(value)}")
    return value


def join(items: Any, separator: Any = "") -> str:
    if isinstance(items, str):
        return items
    if not isinstance(items, (list, tuple)):
        raise TemplateError(f"template: can't join {goprint.type_name(items)}")
    return text(separator).join(map(text, items))


def split(value: Any, separator: Any) -> list[str]:
    return list(text(value)) if text(separator) == "" else text(value).split(separator)


def title(value: Any) -> str:
    """The first letter of each word in upper case, the rest as it is."""
    result, begins = "", True
    for letter in text(value):
        result += letter.upper() if begins else letter
        begins = not (letter.isalnum() or letter in "_'")
    return result


def truncate(value: Any, count: Any) -> str:
    return text(value)[: max(_whole(count), 0)] if _whole(count) < len(text(value)) else text(value)


def urlquery(*values: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(goprint.print_(*values).encode("utf-8", "surrogatepass"))


def html(*values: Any) -> str:
    from html import escape

    return escape(goprint.print_(*values)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


FUNCTIONS: dict[str, Function] = {
    "json": goprint.to_json,
    "len": length,
    "index": index,
    "slice": cut,
    "eq": equal,
    "ne": lambda one, other: not equal(one, other),
    "lt": less,
    "le": lambda one, other: not less(other, one),
    "gt": lambda one, other: less(other, one),
    "ge": lambda one, other: not less(one, other),
    "not": lambda value: not true(value),
    "print": goprint.print_,
    "printf": lambda form, *values: goprint.sprintf(text(form), *values),
    "println": goprint.println,
    "upper": lambda value: text(value).upper(),
    "lower": lambda value: text(value).lower(),
    "title": title,
    "join": join,
    "split": split,
    "truncate": truncate,
    "pad": lambda value, before, after: goprint.pad(text(value), _whole(before), _whole(after)),
    "urlquery": urlquery,
    "html": html,
}

# With the headers as values only the padding matters (docker/cli, formatter: HeaderFunctions).
HEADER_FUNCTIONS: dict[str, Function] = {
    **FUNCTIONS,
    **dict.fromkeys(("json", "title", "lower", "upper", "truncate", "split", "join"), lambda value, *_: value),
}
