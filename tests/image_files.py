"""Images made by hand, byte by byte, without the program under test: what a registry or an archive may hold."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def layer(files: dict[str, bytes]) -> bytes:
    """A tar of regular files, owned by root; a name that ends with / is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), 0o755, 1_700_000_000
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=content, capture_output=True, check=True).stdout


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@dataclass
class Image:
    """Blobs by digest; ``manifest`` and ``config`` are digests among them."""

    manifest: str
    config: str
    layers: list[str]
    media_type: str
    blobs: dict[str, bytes] = field(default_factory=dict)


def image(
    tars: list[bytes],
    *,
    compress: str = "gzip",
    docker: bool = False,
    architecture: str = "amd64",
    diff_ids: list[str] | None = None,
    run: dict[str, Any] | None = None,
) -> Image:
    """An image of these layers, in OCI's or Docker's types."""
    pack = {"gzip": packed, "zstd": zstd, "plain": bytes}[compress]
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "2024-05-06T07:08:09Z",
            "config": run or {"Cmd": ["/a"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest(tar) for tar in tars]},
            "history": [{"created": "2024-05-06T07:08:09Z", "created_by": f"step {n}"} for n in range(len(tars))],
        }
    ).encode()
    blobs = {digest(config): config}
    described = []
    suffix = {"gzip": "+gzip", "zstd": "+zstd", "plain": ""}[compress]
    kind = DOCKER + "image.rootfs.diff.tar.gzip" if docker else OCI + "layer.v1.tar" + suffix
    for tar in tars:
        content = pack(tar)
        blobs[digest(content)] = content
        described.append({"mediaType": kind, "digest": digest(content), "size": len(content)})
    media_type = DOCKER + "distribution.manifest.v2+json" if docker else OCI + "manifest.v1+json"
    config_type = DOCKER + "container.image.v1+json" if docker else OCI + "config.v1+json"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": config_type, "digest": digest(config), "size": len(config)},
            "layers": described,
        }
    ).encode()
    blobs[digest(manifest)] = manifest
    return Image(digest(manifest), digest(config), [item["digest"] for item in described], media_type, blobs)


def index(images: dict[str, Image], *, docker: bool = False) -> Image:
    """An index of images by architecture, as an Image whose manifest it is."""
    kind = DOCKER + "distribution.manifest.list.v2+json" if docker else OCI + "index.v1+json"
    entries = [
        {
            "mediaType": one.media_type,
            "digest": one.manifest,
            "size": len(one.blobs[one.manifest]),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, one in images.items()
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
    blobs = {digest(content): content}
    for one in images.values():
        blobs |= one.blobs
    return Image(digest(content), "", [], kind, blobs)


def write_layout(place: Path, images: dict[str, Image]) -> Path:
    """An OCI layout directory with each image under its tag."""
    (place / "blobs" / "sha256").mkdir(parents=True)
    for one in images.values():
        for name, content in one.blobs.items():
            (place / "blobs" / name.replace(":", "/")).write_bytes(content)
    entries = [
        {
            "mediaType": one.media_type,
            "digest": one.manifest,
            "size": len(one.blobs[one.manifest]),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }
        for tag, one in images.items()
    ]
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return place


def tar_of(place: Path) -> bytes:
    """The directory's content as a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in sorted(os.listdir(place)):
            tar.add(place / name, arcname=name)
    return out.getvalue()


def snapshot(root: str) -> dict[str, object]:
    """What a state root holds: its files by path and size, and its database's rows.  Lock files, the journal of
    events and what was kept of cut downloads are left out."""
    found: dict[str, object] = {}
    for directory, folders, files in os.walk(root):
        inside = os.path.relpath(directory, root)
        if inside.split("/")[0] in ("locks", "events") or inside == "blobs/partial":
            continue
        for name in files + folders:
            path = os.path.join(directory, name)
            if not name.startswith("state.db") and name not in ("partial", "events", "reserve"):
                found[os.path.relpath(path, root)] = os.path.getsize(path) if name in files else "directory"
    with sqlite3.connect(f"file:{root}/state.db?mode=ro", uri=True) as db:
        found["database"] = [line for line in db.iterdump() if line.startswith("INSERT") and "settings" not in line]
    return found


def partials(root: str) -> list[str]:
    """The downloads that a cut pull has kept."""
    place = Path(root) / "blobs" / "partial"
    return sorted(entry.name for entry in place.iterdir()) if place.exists() else []
