"""``.dockerignore``: which paths of a context do not belong to it.

Source: the Docker reference on .dockerignore files; patterns are Go's filepath.Match with ``**`` added.  The last
pattern that fits a path, or one of the folders above it, decides.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

from lxcwrap.errors import BuildError

_SPECIAL = frozenset("*?[\\")


class Ignore:
    """The patterns of one file.  ``has_exceptions``: a folder that is ignored may hold files that are not."""

    def __init__(self, patterns: tuple[tuple[re.Pattern[str], bool], ...] = ()) -> None:
        self.patterns = patterns
        self.has_exceptions = any(not ignored for _, ignored in patterns)
        self._decided = lru_cache(maxsize=4096)(self._decide)

    def ignores(self, path: str) -> bool:
        """``path`` relative to the context, with slashes.  The context's root is never ignored."""
        return bool(self.patterns) and path not in ("", ".") and self._decided(path)

    def _decide(self, path: str) -> bool:
        parts = path.split("/")
        chain = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        for pattern, ignored in reversed(self.patterns):
            if any(pattern.fullmatch(name) for name in chain):
                return ignored
        return False


def parse(text: str, file: str) -> Ignore:
    """Raises BuildError with file and line for a pattern that is none."""
    patterns: list[tuple[re.Pattern[str], bool]] = []
    for number, row in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        row = row.strip()
        if not row or row.startswith("#"):
            continue
        ignored = not row.startswith("!")
        pattern = row if ignored else row[1:].strip()
        if not pattern:
            raise BuildError(f"{file}:{number}: '!' stands alone")
        cleaned = posixpath.normpath(pattern).lstrip("/")
        try:
            patterns.append((compile_pattern(cleaned), ignored))
        except (re.error, ValueError):
            raise BuildError(f"{file}:{number}: not a pattern: {pattern:.100}") from None
    return Ignore(tuple(patterns))


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay within a path component, ``**`` crosses them.  Raises ValueError or re.error."""
    found: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                at += 1
                found.append("(?:.*/)?")
            elif at == len(pattern) or (at == 2 and not _SPECIAL & set(pattern[at:])):
                found.append(".*")
            else:
                found.append("(?:.*/)?")
            continue
        if char == "[":
            end, text = _class(pattern, at)
            found.append(text)
            at = end
            continue
        if char == "\\":
            at += 1
            if at == len(pattern):
                raise ValueError(pattern)
            char = pattern[at]
            found.append(re.escape(char))
        else:
            found.append({"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char))
        at += 1
    return re.compile("".join(found), re.DOTALL)


def _class(pattern: str, at: int) -> tuple[int, str]:
    """A character class ``[a-z]`` or ``[^a-z]`` from ``at``: where it ends, and its regular expression."""
    end = at + 1
    negated = pattern.startswith("^", end)
    end += negated
    inner = ""
    while end < len(pattern) and (pattern[end] != "]" or not inner):
        if pattern[end] == "\\":
            end += 1
        if end == len(pattern):
            raise ValueError(pattern)
        inner += pattern[end] if pattern[end] == "-" and pattern[end - 1] != "\\" else re.escape(pattern[end])
        end += 1
    if end >= len(pattern):
        raise ValueError(pattern)
    return end + 1, f"(?!/)[{'^' if negated else ''}{inner}]"
