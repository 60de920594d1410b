"""Image references: what a user types, by the rules of the distribution project.

Source: distribution's reference grammar (domain, path, tag, digest) and Docker Hub's defaults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lxcwrap.errors import UsageError

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
NAME_LIMIT = 255  # characters of domain and path together

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """A repository and, where given, a tag and a manifest's digest."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """``docker.io/library/ubuntu``."""
        return f"{self.domain}/{self.path}"

    @property
    def canonical(self) -> str:
        """``docker.io/library/ubuntu:latest``: the whole of it, with the default tag where nothing was given."""
        return self.repository + self._suffix()

    @property
    def familiar_repository(self) -> str:
        """``ubuntu``: what Docker shows, without the default domain."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    @property
    def familiar(self) -> str:
        """``ubuntu:latest``."""
        return self.familiar_repository + self._suffix()

    def _suffix(self) -> str:
        given = self.with_default_tag()
        return (f":{given.tag}" if given.tag else "") + (f"@{given.digest}" if given.digest else "")

    def with_default_tag(self) -> Reference:
        """With ``latest`` where neither tag nor digest was given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def __str__(self) -> str:
        return self.familiar


def parse(text: str) -> Reference:
    """Raises UsageError, saying what is wrong, when ``text`` is not a reference."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _invalid(text, "the digest is not sha256:<64 hex digits>")
    rest, tag = _split_tag(rest)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _invalid(text, "the tag has characters that are not allowed")
    domain, path = _split_domain(rest)
    _check_name(text, domain, path)
    return Reference(domain, path, tag or "", digest)


def is_tag(text: str) -> bool:
    return bool(_TAG.fullmatch(text))


def parse_repository(text: str) -> Reference:
    """A reference without tag and digest.  Raises UsageError."""
    reference = parse(text)
    if reference.tag or reference.digest:
        raise _invalid(text, "a repository is wanted, without tag or digest")
    return reference


def _split_tag(text: str) -> tuple[str, str | None]:
    """A colon after the last slash begins a tag; one before it belongs to a port."""
    head, colon, tail = text.rpartition(":")
    if not colon or "/" in tail:
        return text, None
    return head, tail


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    is_domain = bool(slash) and (bool(set(".:[") & set(first)) or first == "localhost" or first.lower() != first)
    domain, path = (first, rest) if is_domain else (DEFAULT_DOMAIN, text)
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return domain, path


def _check_name(text: str, domain: str, path: str) -> None:
    if not _DOMAIN.fullmatch(domain):
        raise _invalid(text, "the registry's name is not a host name")
    if path != path.lower():
        raise _invalid(text, "the repository's name must be in lower case")
    if not _PATH.fullmatch(path):
        raise _invalid(text, "the repository's name has characters that are not allowed")
    if len(domain) + 1 + len(path) > NAME_LIMIT:
        raise _invalid(text, f"the repository's name is longer than {NAME_LIMIT} characters")
    if _ID.fullmatch(path.removeprefix("library/")):
        raise _invalid(text, "64 hex digits are an image ID, not a repository's name")


def _invalid(text: str, why: str) -> UsageError:
    hint = "write [registry[:port]/]name[:tag|@sha256:digest]"
    return UsageError(f"invalid reference {text!r:.300}: {why}", hint=hint, exit_code=1)
