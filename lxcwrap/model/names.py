"""Names and values that reach liblxc, the kernel or a terminal: what they may hold."""

from __future__ import annotations

import re

from lxcwrap.errors import Unsafe, UsageError

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_name(text: str, what: str, *, exit_code: int = 125) -> str:
    """A container's, volume's or network's name, by Docker's rule.  Raises UsageError."""
    if not _NAME.fullmatch(text) or len(text) > 128:
        raise UsageError(
            f"{what} name {text!r:.140} is not allowed",
            hint="use letters, digits, '_', '.' and '-', beginning with a letter or digit, at most 128",
            exit_code=exit_code,
        )
    return text


def check_hostname(text: str) -> str:
    """A host name: labels of at most 63 characters (RFC 1123, and '_'), at most 64 in all (sethostname(2)).

    Raises UsageError.
    """
    if not _HOSTNAME.fullmatch(text) or len(text) > 64:
        raise UsageError(
            f"hostname {text!r:.140} is not allowed",
            hint="use letters, digits, '-' and '_', at most 63 between dots and 64 in all",
        )
    return text


def check_text(text: str, what: str, *, newlines: bool = False) -> str:
    """A value without control characters: in a line-based file a newline would add a line.  Raises Unsafe.

    ``newlines`` allows newline and tab, for values that never reach a line-based file.
    """
    for match in _CONTROL.finditer(text):
        if newlines and match[0] in "\n\t\r":
            continue
        raise Unsafe(f"{what} holds the control character {match[0]!r}: {text!r:.100}")
    return text
