"""Which registries may be spoken to in plain HTTP or without a checked certificate, and their mirrors.

Source: ``registries.yaml`` in the configuration directory::

    insecure: [registry.lan:5000, 10.1.0.0/16]
    mirrors: {docker.io: [https://mirror.lan]}
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from lxcwrap.errors import LxcwrapError, RegistryError

DEFAULT_DIRECTORY = "/etc/lxcwrap"


@dataclass(frozen=True)
class Registries:
    """``insecure``: host, host:port or network in CIDR form.  ``mirrors``: (registry, its mirrors in order)."""

    insecure: tuple[str, ...] = ()
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def is_insecure(self, authority: str) -> bool:
        """Whether plain HTTP is allowed to ``host[:port]``: a loopback address, or listed."""
        return is_loopback(authority) or self._is_listed(authority)

    def _is_listed(self, authority: str) -> bool:
        host = host_of(authority)
        return any(entry in (authority, host) or _in_network(host, entry) for entry in self.insecure)

    def mirrors_of(self, domain: str) -> tuple[str, ...]:
        return dict(self.mirrors).get(domain, ())

    def allows(self, url: str, origin: str) -> bool:
        """Whether the registry at authority ``origin`` may send us to ``url``.

        HTTPS, unless that points a remote registry's client at this host's own services; plain HTTP only
        where both ends may be spoken to so.
        """
        if not _is_readable(url):
            return False
        parts = urlsplit(url)
        if not parts.hostname or parts.username or parts.password or parts.scheme not in ("http", "https"):
            return False
        if is_loopback(parts.netloc) and not self.is_insecure(origin):
            return False
        return parts.scheme == "https" or (self.is_insecure(parts.netloc) and self.is_insecure(origin))


def _is_readable(url: str) -> bool:
    try:
        return urlsplit(url).port != 0  # the port is checked when it is read
    except ValueError:
        return False


def load() -> Registries:
    """The host's ``registries.yaml``; raises LxcwrapError when it says something else than the above."""
    path = f"{os.environ.get('LXCWRAP_CONFIG_DIR') or DEFAULT_DIRECTORY}/registries.yaml"
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        return Registries()
    import yaml

    try:
        return parse(yaml.safe_load(content))
    except (yaml.YAMLError, ValueError, UnicodeDecodeError) as error:
        raise LxcwrapError(f"{path}: {' '.join(str(error).split())}") from error


def parse(plain: object) -> Registries:
    """From the document; raises ValueError saying what is wrong."""
    if plain is None:
        return Registries()
    if not isinstance(plain, dict) or not set(plain) <= {"insecure", "mirrors"}:
        raise ValueError("only the keys 'insecure' and 'mirrors' are known")
    mirrors = {} if plain.get("mirrors") is None else plain["mirrors"]
    if not isinstance(mirrors, dict):
        raise ValueError("'mirrors' must name a list of URLs per registry")
    named = tuple((str(domain), _texts(urls, f"mirrors of {domain}")) for domain, urls in mirrors.items())
    return Registries(_texts([] if plain.get("insecure") is None else plain["insecure"], "insecure"), named)


def _texts(plain: object, what: str) -> tuple[str, ...]:
    if not isinstance(plain, list) or not all(isinstance(item, str) for item in plain):
        raise ValueError(f"{what!r} must be a list of texts")
    return tuple(plain)


def host_of(authority: str) -> str:
    """``host[:port]`` without its port and, for an IPv6 address, its brackets."""
    return urlsplit(f"//{authority}").hostname or ""


def is_loopback(authority: str) -> bool:
    """``localhost`` and addresses of the loopback networks; a name that merely resolves to one is not."""
    host = host_of(authority)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_network(host: str, entry: str) -> bool:
    if "/" not in entry:
        return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def check_authority(authority: str) -> str:
    """``host[:port]`` itself; raises RegistryError for anything that would mean something else in a URL."""
    try:
        parts = urlsplit(f"//{authority}")
        sound = bool(parts.hostname) and parts.netloc == authority and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or "@" in authority:
        raise RegistryError(f"{authority!r:.200} is not a registry's host[:port]")
    return authority
