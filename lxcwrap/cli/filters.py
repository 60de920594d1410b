"""``--filter name=value``, given any number of times."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lxcwrap.errors import LxcwrapError, UsageError


def parse(items: Iterable[str], allowed: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Values by filter name; ``label!=x`` is the name ``label!``.

    Raises UsageError for a word without ``=`` and LxcwrapError (exit code 1, as Docker) for an unknown name.
    """
    wanted: dict[str, list[str]] = {}
    for item in items:
        name, equals, value = item.partition("=")
        name = name.strip().lower()
        if not equals or not name:
            raise UsageError(f"filter {item!r} is not name=value")
        if name not in allowed:
            raise LxcwrapError(f"invalid filter {name!r}", hint="known filters: " + ", ".join(sorted(allowed)))
        wanted.setdefault(name, []).append(value.strip())
    return {name: tuple(values) for name, values in wanted.items()}
