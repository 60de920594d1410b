"""``login`` and ``logout``: credentials are checked with the registry before they are stored."""

from __future__ import annotations

from lxcwrap.errors import NotPermitted
from lxcwrap.model.reference import DEFAULT_DOMAIN, Reference
from lxcwrap.registry import credentials
from lxcwrap.registry.client import Client
from lxcwrap.registry.credentials import Credentials
from lxcwrap.registry.failure import Refusal
from lxcwrap.registry.trust import check_authority

_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com")


def domain_of(server: str) -> str:
    """The registry that a user means: a host, or a URL as Docker still takes them.  '' is Docker Hub."""
    host = server.removeprefix("https://").removeprefix("http://").split("/", 1)[0]
    return DEFAULT_DOMAIN if not host or host in _HUB_NAMES else check_authority(host)


def stored(server: str) -> Credentials | None:
    """What is known for a registry already."""
    return credentials.find(domain_of(server))


def login(server: str, given: Credentials) -> str:
    """Check the credentials with the registry and store them; returns the file.

    Raises NotPermitted when the registry refuses them, RegistryError when it cannot be asked.
    """
    domain = domain_of(server)
    client = Client(Reference(domain, ""), credentials=given)
    try:
        client.ping()
    except Refusal as refusal:
        if refusal.status not in (401, 403):
            raise
        hint = "check the name and password"
        raise NotPermitted(f"login to {domain} was refused: {refusal.message}", hint=hint) from refusal
    credentials.put(domain, given)
    return credentials.own_file()


def logout(server: str) -> bool:
    """Forget a registry's credentials; False when none were stored by lxcwrap."""
    return credentials.forget(domain_of(server))
