"""One action for each of several names: all are tried, each failure is a line, any makes the exit code 1."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from lxcwrap.cli.terminal import printable
from lxcwrap.errors import LxcwrapError, NotFound


def each(names: Iterable[str], action: Callable[[str], object], *, missing_is_fine: bool = False) -> int:
    """Do it and print the name (what Docker prints for rm, stop, start …), or the error; the exit code."""
    failed = 0
    for name in names:
        try:
            action(name)
        except LxcwrapError as error:
            report(error)
            if not (missing_is_fine and isinstance(error, NotFound)):
                failed = 1
        else:
            print(name)
    return failed


def report(error: LxcwrapError) -> None:
    """The error's line on stderr, as ``cli/main.py`` prints the one that ends a command."""
    sys.stdout.flush()
    hint = f" ({printable(error.hint)})" if error.hint else ""
    print(f"lxcwrap: {printable(error.message)}{hint}", file=sys.stderr)
