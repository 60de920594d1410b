"""The digest of everything that makes a service's container.

It is kept as a label and compared with what is wanted.  It has a digest for each part, so that what differs can be
named even where no record of the last release is left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lxcwrap.deploy.application import ContentUse, PublishedPort, Service

PARTS = ("image", "flags", "command", "networks", "ports", "secrets", "configs")
LENGTH = 16  # hexadecimal digits of each

Versions = Mapping[tuple[str, str], str]  # by kind (secret, config) and what it is called in the service


def digest(service: Service, image: str, versions: Versions) -> str:
    """``image`` is an ID."""
    return of(image, digest_of_rest(service, versions))


def digest_of_rest(service: Service, versions: Versions) -> str:
    """All but the image: replicas differ only where hosts do, so one is enough for many."""
    parts = (
        service.flags,
        service.command,
        (service.networks, sorted(service.aliases)),
        sorted(_port(port) for port in service.ports),
        sorted((*_use(use), versions.get(("secret", use.name), "")) for use in service.secrets),
        sorted((*_use(use), versions.get(("config", use.name), "")) for use in service.configs),
    )
    return ".".join(_hash(part) for part in parts)


def of(image: str, rest: str) -> str:
    """Both halves together."""
    return f"{_hash(image)}.{rest}"


def differing(old: str, new: str) -> tuple[str, ...]:
    """Names of the parts that two digests do not share; ('everything',) for a digest of another make."""
    olds, news = old.split("."), new.split(".")
    if len(olds) != len(PARTS) or len(news) != len(PARTS):
        return () if old == new else ("everything",)
    return tuple(name for name, a, b in zip(PARTS, olds, news, strict=True) if a != b)


def _hash(plain: Any) -> str:
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:LENGTH]


def _port(port: PublishedPort) -> tuple[str, int, int, str]:
    return port.host_ip, port.host_port, port.container_port, port.protocol


def _use(use: ContentUse) -> tuple[str, str, int, int, int]:
    return use.name, use.target, use.uid, use.gid, use.mode
