"""OCI and Docker image documents as plain data.

Source: OCI image spec v1.1 (manifest.md, image-index.md, config.md), Docker image manifest v2 schema 2.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lxcwrap.errors import Corrupt
from lxcwrap.model import digest as digests
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.record import Record

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)
LAYERS = (OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, DOCKER_LAYER, DOCKER_LAYER_GZIP)

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True)
class Descriptor:
    """A reference to a blob: its media type, digest and size in bytes (OCI descriptor.md)."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None

    @classmethod
    def from_json(cls, plain: Any) -> Descriptor:
        """Raises Corrupt when the document is not a descriptor."""
        if not isinstance(plain, dict) or not isinstance(plain.get("size"), int) or not 0 <= plain["size"] < 1 << 63:
            raise Corrupt(f"not a descriptor: {json.dumps(plain)[:120]}")
        platform = plain.get("platform")
        return cls(
            media_type=str(plain.get("mediaType", "")),
            digest=digests.check(plain.get("digest", "")),
            size=plain["size"],
            platform=Platform.from_json(platform) if isinstance(platform, dict) else None,
        )

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            plain["platform"] = self.platform.to_json()
        return plain


@dataclass(frozen=True)
class Platform:
    """What an image runs on, in Go's names (``linux/arm64/v8``)."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    @classmethod
    def host(cls) -> Platform:
        machine = os.uname().machine
        return cls(architecture=_ARCHITECTURES.get(machine, machine), variant="v7" if machine == "armv7l" else "")

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Platform:
        return cls(str(plain.get("os", "")), str(plain.get("architecture", "")), str(plain.get("variant", "")))

    @classmethod
    def parse(cls, text: str) -> Platform:
        """``os[/architecture[/variant]]``.  Raises ValueError."""
        parts = text.split("/")
        if not 1 <= len(parts) <= 3 or not all(parts):
            raise ValueError(f"platform {text!r} is not os[/architecture[/variant]]")
        return cls(*parts) if len(parts) > 1 else cls(parts[0], cls.host().architecture)

    def to_json(self) -> dict[str, str]:
        plain = {"architecture": self.architecture, "os": self.os}
        if self.variant:
            plain["variant"] = self.variant
        return plain

    def matches(self, wanted: Platform) -> bool:
        return (self.os, self.architecture) == (wanted.os, wanted.architecture) and (
            not wanted.variant or not self.variant or self.variant == wanted.variant
        )

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True)
class Manifest:
    """One platform's image: its config and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @classmethod
    def from_json(cls, plain: Any) -> Manifest:
        """Raises Corrupt when the document is not a manifest."""
        if not isinstance(plain, dict) or plain.get("schemaVersion") != 2 or not isinstance(plain.get("layers"), list):
            raise Corrupt("not an image manifest of schema version 2")
        return cls(
            media_type=str(plain.get("mediaType") or OCI_MANIFEST),
            config=Descriptor.from_json(plain.get("config")),
            layers=tuple(Descriptor.from_json(layer) for layer in plain["layers"]),
        )

    def to_bytes(self) -> bytes:
        return encode(
            {
                "schemaVersion": 2,
                "mediaType": self.media_type,
                "config": self.config.to_json(),
                "layers": [layer.to_json() for layer in self.layers],
            }
        )


@dataclass(frozen=True)
class History(Record):
    """One line of ``history`` (OCI config.md): a step that made a layer, or only metadata."""

    created: str = ""  # RFC 3339
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    @classmethod
    def from_json(cls, plain: Any) -> History:
        """What is null or not a text stands for ''.  Raises Corrupt."""
        if not isinstance(plain, dict):
            raise Corrupt(f"not an image configuration: a line of its history is {json.dumps(plain)[:80]}")
        texts = {name: plain.get(name) for name in ("created", "created_by", "author", "comment")}
        return cls(
            **{name: text for name, text in texts.items() if isinstance(text, str)},
            empty_layer=plain.get("empty_layer") is True,
        )


@dataclass(frozen=True)
class RunConfig:
    """The ``config`` object of an image: what a container made from it runs with by default."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    exposed: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    health: HealthCheck | None = None
    on_build: tuple[str, ...] = ()

    _lists: ClassVar[dict[str, str]] = {
        "entrypoint": "Entrypoint", "command": "Cmd", "env": "Env", "shell": "Shell", "on_build": "OnBuild",
    }  # fmt: skip
    _sets: ClassVar[dict[str, str]] = {"exposed": "ExposedPorts", "volumes": "Volumes"}
    _texts: ClassVar[dict[str, str]] = {"working_dir": "WorkingDir", "user": "User", "stop_signal": "StopSignal"}
    _health: ClassVar[dict[str, str]] = {
        "interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod",
        "start_interval": "StartInterval", "retries": "Retries",
    }  # fmt: skip

    @classmethod
    def from_json(cls, plain: Any) -> RunConfig:
        """From the ``config`` object as images have it; null stands for empty."""
        plain = plain if isinstance(plain, dict) else {}
        values: dict[str, Any] = {}
        for name, key in cls._lists.items():
            item = plain.get(key) or ()
            values[name] = (item,) if isinstance(item, str) else tuple(map(str, item))
        for name, key in cls._sets.items():
            values[name] = tuple(sorted({str(item) for item in plain.get(key) or ()}))
        for name, key in cls._texts.items():
            values[name] = str(plain.get(key) or "")
        values["labels"] = tuple(sorted((str(k), str(v)) for k, v in (plain.get("Labels") or {}).items()))
        check = plain.get("Healthcheck")
        if isinstance(check, dict):
            times = {name: int(check.get(key) or 0) for name, key in cls._health.items()}
            values["health"] = HealthCheck(test=tuple(map(str, check.get("Test") or ())), **times)
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for name, key in self._lists.items():
            if getattr(self, name):
                plain[key] = list(getattr(self, name))
        for name, key in self._sets.items():
            if getattr(self, name):
                plain[key] = {item: {} for item in getattr(self, name)}
        for name, key in self._texts.items():
            if getattr(self, name):
                plain[key] = getattr(self, name)
        if self.labels:
            plain["Labels"] = dict(self.labels)
        if self.health:
            times = {key: value for name, key in self._health.items() if (value := getattr(self.health, name))}
            plain["Healthcheck"] = {"Test": list(self.health.test), **times}
        return plain


@dataclass(frozen=True)
class ImageConfig:
    """The image configuration (OCI config.md); the digest of its bytes is the image ID."""

    platform: Platform = field(default_factory=Platform)
    created: str = ""  # RFC 3339
    author: str = ""
    config: RunConfig = field(default_factory=RunConfig)
    diff_ids: tuple[str, ...] = ()
    history: tuple[History, ...] = ()

    @classmethod
    def from_json(cls, plain: Any) -> ImageConfig:
        """Raises Corrupt when the document is not an image configuration."""
        rootfs = plain.get("rootfs") if isinstance(plain, dict) else None
        if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids"), (list, type(None))):
            raise Corrupt("not an image configuration: rootfs.diff_ids is missing")
        return cls(
            platform=Platform.from_json(plain),
            created=str(plain.get("created") or ""),
            author=str(plain.get("author") or ""),
            config=RunConfig.from_json(plain.get("config")),
            diff_ids=tuple(digests.check(item, "diff ID") for item in rootfs.get("diff_ids") or ()),
            history=tuple(History.from_json(line) for line in plain.get("history") or ()),
        )

    def to_bytes(self) -> bytes:
        plain: dict[str, Any] = {**self.platform.to_json(), "config": self.config.to_json()}
        if self.created:
            plain["created"] = self.created
        if self.author:
            plain["author"] = self.author
        plain["rootfs"] = {"type": "layers", "diff_ids": list(self.diff_ids)}
        plain["history"] = [line.to_json() for line in self.history]
        return encode(plain)


def decode(content: bytes) -> Any:
    """JSON from strangers.  Raises ValueError: for deep nesting, halves of characters and endless numbers too."""
    try:
        plain = json.loads(content)
        json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half a character") from None
    return plain


def encode(plain: Any) -> bytes:
    """JSON in one canonical form, so that the same content has the same digest."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
