"""Text for a terminal: what comes from images, registries and containers must not drive it."""

from __future__ import annotations

import re
import sys

from lxcwrap.errors import UsageError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """One line, with control characters shown as escapes."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def ended_or_left(code: int | None) -> int:
    """The exit code; of None, when the user detached, Docker says so and makes it 1 (for attach and exec)."""
    if code is None:
        print("read escape sequence", file=sys.stderr)
    return 1 if code is None else code


def check_input(*, stdin: bool, tty: bool) -> None:
    """A container's terminal wants to be driven from one, as Docker has it.  Raises UsageError."""
    if stdin and tty and not sys.stdin.isatty():
        raise UsageError("the input device is not a TTY", hint="give -i without -t to pipe", exit_code=1)
