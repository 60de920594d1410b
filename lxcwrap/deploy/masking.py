"""Words of a command line as they may be shown: what looks like a secret is not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MASK = "***"
SECRET = r"[\w.-]*(?:pass|pwd|secret|token|key|credential|private)[\w.-]*"
NAMED = re.compile(rf"""({SECRET})(=|["']\s*:\s*)(.+)""", re.IGNORECASE | re.DOTALL)
OPTION = re.compile(rf"--?{SECRET}", re.IGNORECASE)
IN_URL = re.compile(r"(://[^/@\s:]*):[^/@\s]+@")


def mask(word: str) -> str:
    """``DB_PASSWORD=x`` and ``postgres://me:x@db`` without x."""
    return IN_URL.sub(rf"\1:{MASK}@", NAMED.sub(rf"\1\2{MASK}", word, count=1))


def masked(words: Iterable[str]) -> Iterator[str]:
    """Each word; one that follows ``--password`` is hidden as well."""
    hide = False
    for word in words:
        yield MASK if hide and not word.startswith("-") else mask(word)
        hide = OPTION.fullmatch(word) is not None
