"""The JSON form of an application, as release records keep it: fields that hold their default are left out."""

from __future__ import annotations

import enum
from dataclasses import MISSING, fields, is_dataclass, replace
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lxcwrap.deploy.application import Application, Content, Source
from lxcwrap.errors import Corrupt

T = TypeVar("T")


def to_json(application: Application) -> dict[str, Any]:
    """Without the content of secrets."""
    secrets = tuple(_without_content(secret) for secret in application.secrets)
    plain = plain_of(replace(application, secrets=secrets))
    assert isinstance(plain, dict)
    return plain


def _without_content(secret: Content) -> Content:
    return replace(secret, value="") if secret.source is Source.INLINE else secret


def from_json(plain: Any, where: str) -> Application:
    """Raises Corrupt, naming ``where`` it is from."""
    try:
        return typed(Application, plain)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Corrupt(
            f"{where}: the recorded application cannot be read ({error}); is it of a newer lxcwrap?"
        ) from None


def plain_of(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain_of(getattr(value, field.name))
            for field in fields(value)
            if getattr(value, field.name) != _default(field)
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [plain_of(item) for item in value]
    return value


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def typed(kind: type[T], plain: Any) -> T:
    """The reverse.  Raises TypeError, ValueError for what does not fit."""
    found: Any = _typed(kind, plain)
    return found  # type: ignore[no-any-return]


def _typed(kind: Any, plain: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_typed(arguments[0], item) for item in plain)
        return tuple(_typed(one, item) for one, item in zip(arguments, plain, strict=True))
    if origin is UnionType:
        return None if plain is None else _typed(arguments[0], plain)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _typed(hints[name], value) for name, value in plain.items()})  # type: ignore[operator]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(plain)
    return plain
