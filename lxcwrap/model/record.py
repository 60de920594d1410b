"""The JSON form of frozen dataclasses: defaults are left out, so that older rows can be read by newer programs."""

from __future__ import annotations

import enum
from dataclasses import MISSING, fields
from typing import Any, ClassVar, TypeVar

T = TypeVar("T", bound="Record")


class Record:
    """Base of the dataclasses that are stored as JSON.

    ``nested`` names, per field, the class its value (or each item of its tuple) is made of.
    """

    nested: ClassVar[dict[str, type[Any]]] = {}

    def to_json(self) -> dict[str, Any]:
        """Plain data: fields that hold their default are left out."""
        plain: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            default = field.default if field.default_factory is MISSING else field.default_factory()
            if value != default:
                plain[field.name] = _to_plain(value)
        return plain

    @classmethod
    def from_json(cls: type[T], plain: dict[str, Any]) -> T:
        """The reverse of ``to_json``.  Raises TypeError for a field that this version does not know."""
        return cls(**{name: _from_plain(cls.nested.get(name), value) for name, value in plain.items()})


def _to_plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    return value


def _from_plain(kind: type[Any] | None, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_plain(kind, item) for item in value)
    if kind is None or value is None:
        return value
    if issubclass(kind, Record):
        return kind.from_json(value)
    return kind(value)
