"""Docker's flags that lxcwrap does not take: refused by name with the reason, never ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lxcwrap.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def refused(*names: str, reason: str, value: bool = True) -> Callable[[F], F]:
    """Options that do not appear in the help and fail when they are given.

    Each long name is an option of its own; a short name belongs to the long one after it.  ``value`` tells whether
    Docker's flags take one, so that the words after them are read right.
    """
    options: list[Callable[[F], F]] = []
    short: list[str] = []
    for name in names:
        if name.startswith("--"):
            options.append(_refused((*short, name), reason, value))
            short = []
        else:
            short.append(name)
    return all_of(*options)


def _refused(names: tuple[str, ...], reason: str, value: bool) -> Callable[[F], F]:
    def refuse(ctx: click.Context, param: click.Parameter, given: object) -> None:
        if given:
            raise UsageError(f"{names[-1]} is not supported: {reason}")

    settings: dict[str, Any] = {"multiple": True} if value else {"is_flag": True}
    return click.option(*names, hidden=True, expose_value=False, is_eager=True, callback=refuse, **settings)


def all_of(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
