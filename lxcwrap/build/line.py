"""One instruction of a Dockerfile as it stands there, and errors that say where."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.errors import BuildError


@dataclass(frozen=True)
class Line:
    """A logical line: continuations joined, comments left out, keyword and flags split off.

    ``rest`` is what follows the flags, unexpanded.  ``number`` and ``last`` are 1-based lines of ``file``.
    """

    file: str
    number: int
    last: int
    keyword: str  # upper case
    flags: tuple[tuple[str, str | None], ...]  # (name without dashes, value)
    rest: str
    text: str  # keyword, flags and rest in one line, for titles and history
    escape: str = "\\"

    def error(self, message: str, hint: str = "") -> BuildError:
        """An error that names the file and line."""
        return BuildError(f"{self.file}:{self.number}: {message}", hint=hint)

    def flag(self, name: str) -> str:
        """The value of a flag that was checked before; '' when it was not given."""
        for given, value in self.flags:
            if given == name:
                return value or ""
        return ""


def check_flags(line: Line, allowed: tuple[str, ...] = (), later: tuple[str, ...] = ()) -> None:
    """Every flag is in ``allowed``, has a value and stands there once; those in ``later`` are known but not done.

    Raises BuildError.
    """
    seen: set[str] = set()
    for name, value in line.flags:
        if name in later:
            raise line.error(f"{line.keyword} --{name} is not supported yet")
        if name not in allowed:
            raise line.error(f"{line.keyword} has no flag --{name}", _flags_hint(line.keyword, allowed))
        if value is None or value == "":
            raise line.error(f"{line.keyword} --{name} needs a value", f"write --{name}=VALUE")
        if name in seen:
            raise line.error(f"{line.keyword} --{name} is given twice")
        seen.add(name)


def _flags_hint(keyword: str, allowed: tuple[str, ...]) -> str:
    if not allowed:
        return f"{keyword} takes no flags"
    return "it takes " + ", ".join(f"--{name}" for name in allowed)
