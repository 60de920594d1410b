"""Image archives as ``load`` gets them: docker-archive (old and new) and OCI layout, in a tar.

The tar is spooled into numbered files first, for its documents may stand behind what they describe; the
names in it are keys here and never paths.  Source: OCI image spec, image-layout.md; moby's image/tarexport.
"""

from __future__ import annotations

import hashlib
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxcwrap.archive.compression import Source
from lxcwrap.errors import Corrupt
from lxcwrap.model.image import INDEXES, MANIFESTS, Descriptor, Manifest, Platform, decode

ENTRY_LIMIT = 100_000  # members of an archive
DOCUMENT_LIMIT = 16 << 20  # bytes of one of its JSON documents
CHUNK = 1 << 20
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class Member:
    """A spooled file."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True)
class Found:
    """An image in an archive: its configuration, its layers' tars (compressed or not) lowest first, its names.

    ``manifest`` is the document itself where the archive is an OCI layout, else b''.
    """

    config: bytes
    layers: tuple[Member, ...]
    names: tuple[str, ...]
    manifest: bytes = b""
    described: Manifest | None = None


class Archive:
    """The spooled members by name."""

    def __init__(self, stream: Source, place: str) -> None:
        """Spool an uncompressed tar stream into the directory ``place``.  Raises Corrupt or OSError."""
        self._members: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
                for entry in tar:
                    self._spool(tar, entry, place)
        except (tarfile.TarError, EOFError, ValueError, UnicodeError) as error:
            raise Corrupt(f"not an image archive: {error}") from None

    def _spool(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, place: str) -> None:
        name = _clean(entry.name)
        if len(self._members) + len(self._links) >= ENTRY_LIMIT:
            raise Corrupt(f"not an image archive: it has over {ENTRY_LIMIT} entries")
        if entry.issym():
            self._links[name] = _clean(posixpath.join(posixpath.dirname(name), entry.linkname))
        elif entry.islnk():
            self._links[name] = _clean(entry.linkname)
        elif entry.isreg():
            self._members[name] = _copy(tar.extractfile(entry), f"{place}/{len(self._members)}")

    def get(self, name: str) -> Member | None:
        name = _clean(name)
        for _ in range(8):
            if name not in self._links:
                break
            name = self._links[name]
        return self._members.get(name)

    def member(self, name: str) -> Member:
        """Raises Corrupt when the archive lacks it."""
        found = self.get(name)
        if not found:
            raise Corrupt(f"the image archive lacks {name!r:.200}, which it refers to")
        return found

    def document(self, name: str) -> tuple[bytes, Any]:
        """A JSON member as bytes and parsed.  Raises Corrupt."""
        member = self.member(name)
        if member.size > DOCUMENT_LIMIT:
            raise Corrupt(f"{name!r:.200} in the image archive is over {DOCUMENT_LIMIT} bytes")
        with open(member.path, "rb") as stream:
            content = stream.read()
        try:
            return content, decode(content)
        except ValueError:
            raise Corrupt(f"{name!r:.200} in the image archive is not JSON") from None

    def blob(self, descriptor: Descriptor) -> Member:
        """A blob of an OCI layout, checked.  Raises Corrupt."""
        name = _blob_name(descriptor)
        member = self.member(name)
        if (member.digest, member.size) != (descriptor.digest, descriptor.size):
            raise Corrupt(f"{name} in the image archive does not match its digest and size")
        return member

    def images(self, platform: Platform) -> tuple[Found, ...]:
        """What is in it.  Raises Corrupt when that is no image at all."""
        try:
            if self.get("index.json") and self.get("oci-layout"):
                return tuple(self._from_layout(platform))
            if self.get("manifest.json"):
                return tuple(self._from_docker())
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Corrupt(f"the image archive's documents cannot be read: {error!r:.200}") from None
        raise Corrupt("not an image archive: neither manifest.json nor index.json is in it")

    def _from_docker(self) -> Iterator[Found]:
        for entry in self.document("manifest.json")[1]:
            content, _ = self.document(entry["Config"])
            layers = tuple(self.member(name) for name in entry.get("Layers") or ())
            yield Found(content, layers, _texts(entry.get("RepoTags")))

    def _from_layout(self, platform: Platform) -> Iterator[Found]:
        """One image for each manifest; the names of one manifest are gathered."""
        names: dict[Descriptor, list[str]] = {}
        for entry in self.document("index.json")[1].get("manifests") or ():
            top = Descriptor.from_json(entry)
            descriptor = self._choose(top, platform)
            if descriptor:
                names.setdefault(descriptor, []).extend(_name(entry.get("annotations") or {}))
        tagged = self._docker_names()
        for descriptor, known in names.items():
            self.blob(descriptor)
            content, plain = self.document(_blob_name(descriptor))
            manifest = Manifest.from_json(plain)
            layers = tuple(self.blob(layer) for layer in manifest.layers)
            self.blob(manifest.config)
            config, _ = self.document(_blob_name(manifest.config))
            every = dict.fromkeys(known + tagged.get(manifest.config.digest, []))
            yield Found(config, layers, tuple(every), content, manifest)

    def _choose(self, top: Descriptor, platform: Platform) -> Descriptor | None:
        """The descriptor of a manifest: itself, or the one for the platform in an index."""
        if top.media_type in MANIFESTS and self.get(_blob_name(top)):
            wanted = not top.platform or top.platform.os != "unknown"
            return Descriptor(top.media_type, top.digest, top.size) if wanted else None
        if top.media_type not in INDEXES or not self.get(_blob_name(top)):
            return None
        self.blob(top)
        entries = [Descriptor.from_json(entry) for entry in self.document(_blob_name(top))[1].get("manifests") or ()]
        for entry in entries:
            if (not entry.platform or entry.platform.matches(platform)) and self.get(_blob_name(entry)):
                return self._choose(entry, platform)
        return None

    def _docker_names(self) -> dict[str, list[str]]:
        """Tags in a docker-archive's list, by the digest of the configuration."""
        if not self.get("manifest.json"):
            return {}
        entries = self.document("manifest.json")[1]
        return {self.member(entry["Config"]).digest: list(_texts(entry.get("RepoTags"))) for entry in entries}


def _texts(items: Any) -> tuple[str, ...]:
    """Raises Corrupt."""
    items = items or ()
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise Corrupt(f"the image archive's names are no list of texts: {items!r:.100}")
    return tuple(items)


def _name(annotations: dict[str, Any]) -> list[str]:
    """The name that an index gives an image; a mere tag (umoci, skopeo) names nothing."""
    name = annotations.get(IMAGE_NAME) or annotations.get(REF_NAME) or ""
    return [name] if isinstance(name, str) and (":" in name or "/" in name) else []


def _blob_name(descriptor: Descriptor) -> str:
    return "blobs/" + descriptor.digest.replace(":", "/")


def _clean(name: str) -> str:
    return posixpath.normpath(name).lstrip("/")


def _copy(source: Any, path: str) -> Member:
    hashed = hashlib.sha256()
    size = 0
    with open(path, "wb", buffering=0) as out:
        while chunk := source.read(CHUNK):
            hashed.update(chunk)
            size += len(chunk)
            out.write(chunk)
    return Member(path, "sha256:" + hashed.hexdigest(), size)
