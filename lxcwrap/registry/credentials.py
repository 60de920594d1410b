"""Names and passwords for registries, in Docker's file format.

lxcwrap writes its own file, ``~/.config/lxcwrap/auth.json`` (mode 0600); what Docker stored in
``~/.docker/config.json`` is read when our own file has nothing for a registry, and never written.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from typing import Any

from lxcwrap.errors import Corrupt
from lxcwrap.kernel import files, lock
from lxcwrap.model.reference import DEFAULT_DOMAIN

HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True)
class Credentials:
    """What a registry knows a user by.  ``identity_token`` is an OAuth2 refresh token that stands for a password."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def own_file() -> str:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return f"{base}/lxcwrap/auth.json"


def docker_file() -> str:
    return f"{os.environ.get('DOCKER_CONFIG') or os.path.expanduser('~/.docker')}/config.json"


def find(domain: str) -> Credentials | None:
    """What is stored for a registry, our own file first.  Raises Corrupt for a file that cannot be read."""
    for path in (own_file(), docker_file()):
        found = _in_file(_read(path).get("auths"), domain, path)
        if found:
            return found
    return None


def put(domain: str, credentials: Credentials) -> None:
    """Store in our own file."""
    with _changing() as content:
        auths = content.setdefault("auths", {})
        _drop(auths, domain)
        auths[key_of(domain)] = {"auth": credentials.basic().removeprefix("Basic ")}


def forget(domain: str) -> bool:
    """Remove from our own file; returns whether there was something."""
    if not os.path.exists(own_file()):
        return False
    with _changing() as content:
        return _drop(content.get("auths") or {}, domain)


def key_of(domain: str) -> str:
    """The name under which Docker files a registry's credentials."""
    return HUB_KEY if domain == DEFAULT_DOMAIN else domain


class _changing:
    """The content of our own file, written back at the end; alone."""

    def __enter__(self) -> dict[str, Any]:
        os.makedirs(os.path.dirname(own_file()), mode=0o700, exist_ok=True)
        self.lock = lock.take(f"{own_file()}.lock")
        try:
            self.content = _read(own_file())
        except BaseException:
            os.close(self.lock)
            raise
        return self.content

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                text = json.dumps(self.content, indent=2, sort_keys=True) + "\n"
                files.write_atomically(own_file(), text.encode(), 0o600)
        finally:
            os.close(self.lock)


def _drop(auths: dict[str, Any], domain: str) -> bool:
    keys = [key for key in auths if _domain_of(key) == domain]
    for key in keys:
        del auths[key]
    return bool(keys)


def _domain_of(key: str) -> str:
    """The registry that a key means: old files have URLs as keys."""
    host = key.removeprefix("https://").removeprefix("http://").split("/", 1)[0]
    return DEFAULT_DOMAIN if host in _HUB_NAMES else host


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            content = json.loads(stream.read() or b"{}")
    except FileNotFoundError:
        return {}
    except (ValueError, UnicodeDecodeError):
        raise Corrupt(f"{path} is not JSON") from None
    if not isinstance(content, dict):
        raise Corrupt(f"{path} is not a JSON object")
    return content


def _in_file(auths: Any, domain: str, path: str) -> Credentials | None:
    for key, entry in auths.items() if isinstance(auths, dict) else ():
        if _domain_of(key) == domain and isinstance(entry, dict) and (entry.get("auth") or entry.get("identitytoken")):
            return _decode(entry, key, path)
    return None


def _decode(entry: dict[str, Any], key: str, path: str) -> Credentials:
    try:
        plain = base64.b64decode(entry.get("auth") or "", validate=True).decode().rstrip("\0")
    except (binascii.Error, ValueError):
        raise Corrupt(f"{path}: the credentials for {key} cannot be decoded") from None
    username, _, password = plain.partition(":")
    return Credentials(username, password, str(entry.get("identitytoken") or ""))
