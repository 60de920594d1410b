"""A registry's API for one repository: manifests, blobs, tags.

Source: OCI distribution spec v1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from lxcwrap.errors import Corrupt, RegistryError
from lxcwrap.model import digest as digests
from lxcwrap.model.image import INDEXES, MANIFESTS, decode
from lxcwrap.model.reference import DEFAULT_DOMAIN, Reference, is_tag
from lxcwrap.registry import credentials as stored
from lxcwrap.registry.auth import Authorizer
from lxcwrap.registry.credentials import Credentials
from lxcwrap.registry.failure import Unreachable, joined, redacted, refusal
from lxcwrap.registry.transport import Body, Request, Response, Transport, origin_of
from lxcwrap.registry.trust import Registries, check_authority, load

HUB_API = "registry-1.docker.io"
MANIFEST_LIMIT = 4 << 20  # bytes; the distribution spec asks registries for at least this much
DOCUMENT_LIMIT = 8 << 20  # bytes of a config, a page of tags
LISTING_LIMIT = 64 << 20  # bytes of all pages
PAGE_COST = 64 << 10  # what a page counts besides: 1000 empty ones are enough
ERROR_LIMIT = 64 << 10


@dataclass(frozen=True)
class Document:
    """A manifest or index as the registry sent it."""

    content: bytes
    media_type: str
    digest: str

    def parsed(self) -> Any:
        return decode(self.content)


class Client:
    """One repository of one registry; safe to use from several threads."""

    def __init__(
        self,
        reference: Reference,
        *,
        actions: str = "pull",
        registries: Registries | None = None,
        address: str = "",
        credentials: Credentials | None = None,
    ) -> None:
        """``actions``: what tokens are asked for.  ``address``: a mirror's, instead of the domain's own."""
        self.reference = reference
        self.path = reference.path
        host = urlsplit(address).netloc if "://" in address else address
        self.domain = check_authority(host or reference.domain)
        api = HUB_API if self.domain == DEFAULT_DOMAIN else self.domain
        self.transport = Transport(load() if registries is None else registries, api)
        self.authorizer = Authorizer(self.transport, credentials or stored.find(self.domain))
        self.scopes: tuple[str, ...] = (f"repository:{self.path}:{actions}",) if self.path else ()
        self._base = address.rstrip("/") if "://" in address else ""

    @property
    def repository(self) -> str:
        """``domain/path`` of where it really asks, which may be a mirror."""
        return f"{self.domain}/{self.path}"

    @property
    def base(self) -> str:
        """Scheme and host; found out by asking: https, and where it is allowed, else http."""
        if not self._base:
            self._base = self._find_base()
        return self._base

    def _find_base(self) -> str:
        api = self.transport.origin
        secure = f"https://{api}"
        try:
            self.transport.send(Request("GET", f"{secure}/v2/"), attempts=1).read(ERROR_LIMIT)
        except Unreachable:
            if not self.transport.registries.is_insecure(api):
                raise
            self.transport.send(Request("GET", f"http://{api}/v2/"), attempts=1).read(ERROR_LIMIT)
            return f"http://{api}"
        return secure

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: Body = None,
        scopes: tuple[str, ...] | None = None,
        once: bool = False,
    ) -> Response:
        """Send, answer a challenge once, and return whatever came.  ``path`` may be a whole URL (a Location)."""
        url = joined(self.base + "/", path)
        if not self.transport.registries.allows(url, self.transport.origin):
            raise RegistryError(f"registry {self.domain} sends us to {redacted(url)}, which is not trusted")
        scopes = self.scopes if scopes is None else scopes
        ours = origin_of(url) == origin_of(self.base)
        header = self.authorizer.header(scopes) if ours else ""
        request = Request(method, url, dict(headers or {}), body, once)
        response = self.transport.send(_authorized(request, header))
        if response.status != 401 or not ours or origin_of(response.url) != origin_of(self.base):
            return response
        better = self.authorizer.answer(response, scopes, header)
        if not better or (once and callable(body)):
            return response
        response.read(ERROR_LIMIT)
        return self.transport.send(_authorized(request, better))

    def expect(self, response: Response, doing: str, *statuses: int) -> Response:
        """The answer if its status is one of these; raises Refusal otherwise."""
        if response.status in statuses:
            return response
        raise refusal(self.domain, doing, response.status, response.read(ERROR_LIMIT))

    def ping(self) -> None:
        """Check that the registry takes our credentials.  Raises Refusal or Unreachable."""
        self.expect(self.call("GET", "v2/", scopes=()), "logging in", 200).read(ERROR_LIMIT)

    def manifest(self, name: str) -> Document:
        """By tag or digest.  Raises Refusal, Corrupt, RegistryError for something else than a manifest."""
        headers = {"Accept": ", ".join(MANIFESTS + INDEXES)}
        response = self.call("GET", f"v2/{self.path}/manifests/{name}", headers=headers)
        content = self.expect(response, f"reading {self._named(name)}", 200).read(MANIFEST_LIMIT + 1)
        if len(content) > MANIFEST_LIMIT:
            raise RegistryError(f"registry {self.domain}: the manifest of {self._named(name)} is too large")
        digest = digests.of(content)
        said = name if name.startswith("sha256:") else response.header("Docker-Content-Digest")
        if said.startswith("sha256:") and said != digest:
            raise Corrupt(f"registry {self.domain}: the manifest of {self._named(name)} is {digest}, not {said}")
        return Document(content, _media_type(content, response.header("Content-Type"), self._named(name)), digest)

    def has_manifest(self, name: str) -> str:
        """The digest that the registry has under a tag or digest, or ''."""
        headers = {"Accept": ", ".join(MANIFESTS + INDEXES)}
        response = self.call("HEAD", f"v2/{self.path}/manifests/{name}", headers=headers)
        response.read(ERROR_LIMIT)
        return (response.header("Docker-Content-Digest") or name) if response.status == 200 else ""

    def put_manifest(self, name: str, content: bytes, media_type: str) -> None:
        path = f"v2/{self.path}/manifests/{name}"
        response = self.call("PUT", path, headers={"Content-Type": media_type}, body=content)
        self.expect(response, f"writing the manifest of {self._named(name)}", 201, 202).read(ERROR_LIMIT)

    def blob(self, digest: str, offset: int = 0) -> tuple[Response, int]:
        """A blob's bytes from ``offset`` on, and the offset at which the answer really begins (0 or ``offset``)."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self.call("GET", f"v2/{self.path}/blobs/{digest}", headers=headers)
        if offset and response.status == 416:  # the registry's copy is shorter than what we have
            response.read(ERROR_LIMIT)
            response = self.call("GET", f"v2/{self.path}/blobs/{digest}")
        self.expect(response, f"reading {digest[:19]} of {self.path}", 200, 206)
        resumed = response.status == 206 and response.header("Content-Range").startswith(f"bytes {offset}-")
        return response, offset if resumed else 0

    def document(self, digest: str, size: int) -> bytes:
        """A small blob (a config), checked.  Raises Corrupt."""
        if size > DOCUMENT_LIMIT:
            raise RegistryError(f"registry {self.domain}: {digest[:19]} of {self.path} is over {DOCUMENT_LIMIT} bytes")
        response, _ = self.blob(digest)
        content = response.read(size + 1)
        if len(content) != size or digests.of(content) != digest:
            raise Corrupt(f"registry {self.domain}: {digest[:19]} of {self.path} does not match its digest and size")
        return content

    def tags(self) -> Iterator[str]:
        """All tags of the repository, page by page."""
        doing = f"listing the tags of {self.path}"
        for tag in self._pages(f"v2/{self.path}/tags/list", "tags", doing, self.scopes):
            if not is_tag(tag):
                raise RegistryError(f"registry {self.domain}, {doing}: {tag!r:.150} is no tag")
            yield tag

    def catalog(self) -> Iterator[str]:
        """All repositories of the registry.  Raises Refusal where it does not tell."""
        scopes = ("registry:catalog:*",)
        yield from self._pages("v2/_catalog?n=1000", "repositories", "listing its repositories", scopes)

    def _pages(self, path: str, key: str, doing: str, scopes: tuple[str, ...]) -> Iterator[str]:
        left = LISTING_LIMIT
        while path:
            response = self.expect(self.call("GET", path, scopes=scopes), doing, 200)
            content = response.read(DOCUMENT_LIMIT)
            try:
                items = decode(content).get(key) or []
            except (ValueError, AttributeError):
                items = None
            if not isinstance(items, list):
                raise RegistryError(f"registry {self.domain}, {doing}: the answer is no list")
            left -= len(content) + PAGE_COST
            if left < 0:
                raise RegistryError(f"registry {self.domain}, {doing}: the list does not end")
            yield from (item for item in items if isinstance(item, str))
            path = _next_page(response.header("Link"), response.url)

    def _named(self, name: str) -> str:
        return replace(self.reference, tag="", digest="").familiar_repository + ("@" if ":" in name else ":") + name


def candidates(reference: Reference, registries: Registries) -> Iterator[Client]:
    """Whom to ask for a pull: the registry's mirrors in order, then the registry itself."""
    for mirror in registries.mirrors_of(reference.domain):
        yield Client(reference, registries=registries, address=mirror)
    yield Client(reference, registries=registries)


def _authorized(request: Request, header: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": header}) if header else request


def _media_type(content: bytes, header: str, named: str) -> str:
    """What the document says it is, else what the registry says.  Raises RegistryError."""
    try:
        plain = decode(content)
    except ValueError:
        plain = None
    if not isinstance(plain, dict):
        raise RegistryError(f"the registry's answer for {named} is not a manifest")
    if plain.get("schemaVersion") == 1:
        raise RegistryError(f"{named} has a manifest of schema version 1, which is not read", hint="push it again")
    said = plain.get("mediaType") or header.partition(";")[0].strip()
    if said in MANIFESTS + INDEXES:
        return str(said)
    if plain.get("schemaVersion") == 2 and isinstance(plain.get("manifests"), list):
        return INDEXES[0]
    if plain.get("schemaVersion") == 2 and isinstance(plain.get("layers"), list):
        return MANIFESTS[0]
    raise RegistryError(f"{named} is not an image but {said or 'something unknown'!s:.100}")


def _next_page(link: str, url: str) -> str:
    """The target of a Link header with rel=next (RFC 8288), as an absolute URL."""
    target, _, attributes = link.partition(">")
    if not target.startswith("<") or "next" not in attributes:
        return ""
    return joined(url, target[1:])
