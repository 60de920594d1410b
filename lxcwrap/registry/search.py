"""Repositories by a word: Docker Hub's search, and the catalogue of other registries.

Source: Docker Hub's v1 search, OCI distribution spec (``_catalog`` is an extension that not all have).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlencode

from lxcwrap.errors import RegistryError
from lxcwrap.model.image import decode
from lxcwrap.model.reference import DEFAULT_DOMAIN, Reference
from lxcwrap.registry.client import DOCUMENT_LIMIT, Client
from lxcwrap.registry.failure import Refusal, refusal
from lxcwrap.registry.transport import Request, Transport
from lxcwrap.registry.trust import Registries, load

HUB_SEARCH = "https://index.docker.io/v1/search"
PAGE_LIMIT = 100  # results that Docker Hub gives at most
NO_CATALOG = (401, 403, 404, 405, 501)


@dataclass(frozen=True)
class Hit:
    """A repository that was found; a catalogue knows its name only."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False


def search(term: str, limit: int) -> tuple[Hit, ...]:
    """At most ``limit`` repositories for ``[registry/]word``.  Raises RegistryError, also where there is no search."""
    domain, word = split(term)
    if domain == DEFAULT_DOMAIN:
        return _hub(word, limit, load())
    client = Client(Reference(domain, ""))
    try:
        found = (name for name in client.catalog() if word.lower() in name)
        return tuple(Hit(f"{domain}/{name}") for name in islice(found, limit))
    except Refusal as error:
        if error.status not in NO_CATALOG:
            raise
        raise RegistryError(
            f"registry {domain} offers no search: it does not list its repositories ({error.status})",
            hint=error.hint if error.status == 401 else "",
        ) from error


def split(term: str) -> tuple[str, str]:
    """The registry and the word, by the same rule as references."""
    first, slash, rest = term.partition("/")
    if slash and (set(".:") & set(first) or first == "localhost"):
        domain = DEFAULT_DOMAIN if first in ("docker.io", "index.docker.io") else first
        return domain, rest
    return DEFAULT_DOMAIN, term


def _hub(word: str, limit: int, registries: Registries) -> tuple[Hit, ...]:
    transport = Transport(registries, "index.docker.io")
    query = urlencode({"q": word.removeprefix("library/"), "n": min(limit, PAGE_LIMIT)})
    response = transport.send(Request("GET", f"{HUB_SEARCH}?{query}"), attempts=2)
    content = response.read(DOCUMENT_LIMIT)
    if response.status != 200:
        raise refusal(DEFAULT_DOMAIN, f"searching {word}", response.status, content)
    return parse_hub(content)[:limit]


def parse_hub(content: bytes) -> tuple[Hit, ...]:
    """Docker Hub's answer.  Raises RegistryError when it is something else."""
    try:
        return tuple(
            Hit(
                str(item["name"]),
                str(item.get("description") or ""),
                int(item.get("star_count") or 0),
                bool(item.get("is_official")),
                bool(item.get("is_automated")),
            )
            for item in decode(content)["results"] or ()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RegistryError("Docker Hub's answer to the search cannot be read") from None
