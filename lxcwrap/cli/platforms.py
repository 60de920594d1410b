"""``--platform``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxcwrap.model.image import Platform


def parse_platform(text: str) -> Platform | None:
    """``os[/architecture[/variant]]``; None for ''.  Raises UsageError."""
    if not text:
        return None
    from lxcwrap.errors import UsageError
    from lxcwrap.model.image import Platform

    try:
        return Platform.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
