"""Answers to a registry's 401: Basic (RFC 7617) or Bearer tokens from the realm that the registry names.

Source: distribution's token authentication specification, RFC 6750, RFC 9110 section 11.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from lxcwrap.errors import RegistryError
from lxcwrap.model.image import decode
from lxcwrap.registry.credentials import Credentials
from lxcwrap.registry.failure import redacted, refusal
from lxcwrap.registry.transport import Request, Response, Transport

TOKEN_LIMIT = 1 << 20  # bytes of a token server's answer
SHORTEST_LIFE = 60  # seconds that a token is good for when nothing is said
CLIENT_ID = "lxcwrap"

_SCHEME = re.compile(r"\s*,?\s*([A-Za-z0-9._~+-]+)(?:\s+|$)(?!=)")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True)
class Challenge:
    """One scheme of a WWW-Authenticate header, names in lower case."""

    scheme: str
    parameters: dict[str, str]


def challenges(header: str) -> tuple[Challenge, ...]:
    """All challenges in a header's value; what cannot be parsed is left out."""
    found = []
    position = 0
    while match := _SCHEME.match(header, position):
        position = match.end()
        parameters = {}
        while item := _PARAMETER.match(header, position):
            quoted, bare = item[2], item[3]
            parameters[item[1].lower()] = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            position = item.end()
        found.append(Challenge(match[1].lower(), parameters))
    return tuple(found)


@dataclass(frozen=True)
class _Token:
    value: str
    expires: float  # by the monotonic clock


class Authorizer:
    """What one registry has been told about us.  Safe to use from several threads."""

    def __init__(self, transport: Transport, credentials: Credentials | None) -> None:
        self.credentials = credentials
        self._transport = transport
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._basic = False
        self._lock = threading.Lock()

    def header(self, scopes: tuple[str, ...]) -> str:
        """The Authorization header to send at once, or ''."""
        if self._basic and self.credentials:
            return self.credentials.basic()
        token = self._tokens.get(scopes)
        return f"Bearer {token.value}" if token and token.expires > time.monotonic() else ""

    def answer(self, response: Response, scopes: tuple[str, ...], used: str) -> str:
        """The header with which a refused request is to be repeated, or '' when there is none better than ``used``.

        Raises RegistryError when a realm is not to be trusted or refuses.
        """
        offered = [item for header in response.headers("WWW-Authenticate") for item in challenges(header)]
        with self._lock:
            current = self.header(scopes)
            if current and current != used:
                return current  # another thread has been here
            for challenge in offered:
                if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                    self._tokens[scopes] = self._fetch(challenge, scopes)
                    return self.header(scopes)
            if any(challenge.scheme == "basic" for challenge in offered) and self.credentials and not used:
                self._basic = True
                return self.header(scopes)
        return ""

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Token:
        realm = self._checked_realm(challenge.parameters["realm"])
        service = challenge.parameters.get("service", "")
        if self.credentials and self.credentials.identity_token:
            request = _refresh(realm, service, scopes, self.credentials.identity_token)
        else:
            request = _ask(realm, service, scopes, self.credentials)
        response = self._transport.send(request)
        body = response.read(TOKEN_LIMIT)
        if response.status != 200:
            raise refusal(self._transport.origin, "logging in", response.status, body)
        return _parse(body, redacted(realm))

    def _checked_realm(self, realm: str) -> str:
        if not self._transport.registries.allows(realm, self._transport.origin):
            raise RegistryError(
                f"registry {self._transport.origin} sends logins to {redacted(realm)}, which is not trusted",
                hint="a realm must use https, or be on loopback or listed as insecure like its registry",
            )
        return realm


def _ask(realm: str, service: str, scopes: tuple[str, ...], credentials: Credentials | None) -> Request:
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    if credentials:
        query.append(("account", credentials.username))
    joined = "&" if urlsplit(realm).query else "?"
    headers = {"Authorization": credentials.basic()} if credentials else {}
    return Request("GET", realm + (joined + urlencode(query) if query else ""), headers)


def _refresh(realm: str, service: str, scopes: tuple[str, ...], token: str) -> Request:
    """OAuth2's refresh form, for an identity token."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "service": service,
        "scope": " ".join(scopes),
        "client_id": CLIENT_ID,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", realm, headers, urlencode(form).encode())


def _parse(body: bytes, realm: str) -> _Token:
    try:
        plain = decode(body)
        value = plain.get("token") or plain.get("access_token")
        life = float(plain.get("expires_in") or SHORTEST_LIFE)
    except (ValueError, AttributeError, TypeError):
        value, life = None, 0.0
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise RegistryError(f"{realm} answered with something that is not a token")
    return _Token(value, time.monotonic() + max(life, SHORTEST_LIFE) * 0.9)
