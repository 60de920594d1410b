"""Which host a command line is for.  Loaded when one may be named."""

from __future__ import annotations

import os
from collections.abc import Sequence

# Commands about this machine, whatever LXCWRAP_HOST says.
_LOCAL = ("host", "completion", "config", "man", "remote-end")
# Commands that drive hosts from here themselves: -H chooses which.
_DRIVING = ("plan", "deploy", "up", "rollback", "releases", "drift", "down", "app", "lock", "audit", "secret")


def named(arguments: Sequence[str]) -> str:
    """The hosts that a command line is for; '' for this machine's own commands."""
    given = os.environ.get("LXCWRAP_HOST", "")
    words = list(arguments)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name in ("-H", "--host"):
            given = value if equals else words.pop(0) if words else ""
        elif word.startswith("-H"):
            given = word[2:]
        elif name in ("--root", "--storage-driver") and not equals and words:
            words.pop(0)
        elif name in ("--help", "-v", "--version"):
            return ""
    return "" if not words or words[0] in (*_LOCAL, *_DRIVING) else given
