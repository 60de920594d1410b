"""Files of variables: ``.env`` and what ``env_file`` names."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Mapping
from types import MappingProxyType

from lxcwrap.deploy.compose import interpolate
from lxcwrap.deploy.compose.node import wrong

SIZE_LIMIT = 1024 * 1024
_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(?:([=:])[ \t]*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def parse(
    text: str,
    name: str,
    environment: Mapping[str, str],
    warn: Callable[[str], None],
    *,
    earlier: Mapping[str, str] = MappingProxyType({}),
    raw: bool = False,
) -> dict[str, str]:
    """The variables of the file ``name``.

    Values see ``environment``, which goes before what the file itself has set, and below that what ``earlier`` files
    have set.  ``raw`` takes lines as they are.  Raises UsageError.
    """
    return _File(text, name, environment, earlier, warn).read(raw)


def read(path: str, name: str) -> str | None:
    """A file's text; None where there is none.  Raises UsageError."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise wrong(name, error.strerror or "it cannot be read") from None
    if len(data) > SIZE_LIMIT:
        raise wrong(name, f"the file is larger than {SIZE_LIMIT // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise wrong(name, "the file is not UTF-8 text") from None


class _File:
    def __init__(
        self,
        text: str,
        name: str,
        environment: Mapping[str, str],
        earlier: Mapping[str, str],
        warn: Callable[[str], None],
    ) -> None:
        self._text = text.replace("\r\n", "\n")
        self._name = name
        self._warn = warn
        self._at = 0
        self._room = interpolate.TOTAL
        self._found: dict[str, str] = {}
        self._outside = ChainMap(dict(environment), dict(earlier))
        self._known = ChainMap(dict(environment), self._found, dict(earlier))

    def read(self, raw: bool) -> dict[str, str]:
        while self._at < len(self._text):
            if self._text[self._at].isspace():
                self._at += 1
            elif self._text[self._at] == "#":
                self._rest_of_line()
            elif raw:
                self._raw(self._rest_of_line())
            else:
                self._variable()
        return self._found

    def _rest_of_line(self) -> str:
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        line, self._at = self._text[self._at : end], end
        return line

    def _error(self, what: str) -> Exception:
        return wrong(f"{self._name}:{self._text.count(chr(10), 0, self._at) + 1}", what)

    def _raw(self, line: str) -> None:
        name, equals, value = line.partition("=")
        if equals:
            self._found[name.strip()] = value
        elif name.strip() in self._outside:
            self._found[name.strip()] = self._outside[name.strip()]

    def _variable(self) -> None:
        match = _LINE.match(self._text, self._at)
        if not match:
            raise self._error("this line is not NAME=VALUE")
        if not match[2]:
            self._alone(match)
            return
        self._at = match.end()
        quote = self._text[self._at : self._at + 1]
        value = self._quoted(quote) if quote in ("'", '"') and quote else self._bare()
        self._room -= len(value)
        if self._room < 0:
            raise self._error(f"with its variables filled in the file is longer than {interpolate.TOTAL} characters")
        if _CONTROL.search(value):
            raise self._error(f"{match[1]} holds a control character")
        self._found[match[1]] = value

    def _alone(self, match: re.Match[str]) -> None:
        """A name without a value takes the caller's."""
        if self._rest_of_line().strip() != match[0].strip():
            raise self._error("this line is not NAME=VALUE")
        if match[1] in self._outside:
            self._found[match[1]] = self._outside[match[1]]

    def _bare(self) -> str:
        line = self._rest_of_line()
        if line.startswith("#"):
            return ""
        return self._filled(re.split(r"[ \t]#", line, maxsplit=1)[0].strip())

    def _quoted(self, quote: str) -> str:
        match = re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}", re.DOTALL).match(self._text, self._at)
        if not match:
            raise self._error("the quoted value has no end")
        self._at = match.end()
        rest = self._rest_of_line().strip()
        if rest and not rest.startswith("#"):
            raise self._error(f"{rest!r:.40} stands after the quoted value")
        if quote == "'":
            return match[1].replace("\\'", "'")
        return self._filled(re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), match[1], flags=re.DOTALL))

    def _filled(self, value: str) -> str:
        if "$" not in value:
            return value
        return interpolate.text(value, self._known, self._unset, self._error)

    def _unset(self, name: str) -> None:
        self._warn(f"{self._name}: variable {name} is not set: an empty text takes its place")
