"""What a registry's refusal says: status, the registry's own code and message, and whether it may pass.

Source: OCI distribution spec, "Error Codes".
"""

from __future__ import annotations

import http
from urllib.parse import urljoin, urlsplit

from lxcwrap.errors import RegistryError
from lxcwrap.model.image import decode

TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class Refusal(RegistryError):
    """An HTTP answer that is not what was asked for."""

    def __init__(self, message: str, *, status: int, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class Unreachable(RegistryError):
    """No answer: refused connections, failing names, failing TLS, cut connections."""


def redacted(url: str) -> str:
    """A URL that may be shown: without user, query and fragment, which hold secrets and signatures."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def joined(base: str, target: str) -> str:
    """Where ``target`` leads, seen from ``base``; as it stands when that cannot be read, for ``allows`` to refuse."""
    try:
        return urljoin(base, target)
    except ValueError:
        return target


def refusal(registry: str, doing: str, status: int, body: bytes) -> Refusal:
    """From an answer's status and the beginning of its body; ``doing`` is what was tried: ``reading x:latest``."""
    code, text = _parse(body)
    reason = ": ".join(filter(None, (code, text))) or _phrase(status)
    hint = ""
    if status in (401, 403):
        hint = f"log in first: lxcwrap login {registry}" if status == 401 else "this login may not do that"
    elif status == 429:
        hint = "the registry limits how often it is asked: try again later, or log in"
    return Refusal(f"registry {registry}, {doing}: {status} {reason}", status=status, code=code, hint=hint)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"


def _parse(body: bytes) -> tuple[str, str]:
    """The first error's code and message; the token servers' ``details`` and ``message`` are understood too."""
    try:
        plain = decode(body)
    except ValueError:
        return "", ""
    if not isinstance(plain, dict):
        return "", ""
    errors = plain.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else plain
    text = first.get("message") or first.get("details") or first.get("error_description") or ""
    return _short(first.get("code")), _short(text)


def _short(value: object) -> str:
    return " ".join(value.split())[:200] if isinstance(value, str) else ""
