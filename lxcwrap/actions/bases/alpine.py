"""Alpine's minimal root file system, as its mirrors publish it."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from typing import Any

from lxcwrap.actions.bases.making import Making
from lxcwrap.archive import compression, extract

_ARCHITECTURES = {"386": "x86", "arm": "armv7", "amd64": "x86_64", "arm64": "aarch64"}
_TIMEOUT = 30.0  # seconds that the mirror may keep silent
_LIST_LIMIT = 1 << 20  # bytes of latest-releases.yaml
_ARCHIVE_LIMIT = 1 << 28  # bytes of the archive
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.tar\.gz")


def fill(making: Making) -> float | None:
    """Fill the root; returns the date that the mirror gives the release."""
    template = making.template
    release = template.release if not template.release[0].isdigit() else f"v{template.release}"
    place = f"{template.mirror}/{release}/releases/{_ARCHITECTURES.get(making.arch, making.machine)}"
    entry = _entry(making, f"{place}/latest-releases.yaml")
    making.say(f"Fetching {place}/{entry['file']}")
    archive = f"{making.staging}/{entry['file']}"
    found = _fetch(making, f"{place}/{entry['file']}", archive, _ARCHIVE_LIMIT)
    if found != entry["sha256"]:
        raise making.failed(entry["file"], f"SHA-256 is {found}, the mirror's list says {entry['sha256']}")
    with open(archive, "rb") as packed:
        extract.extract(compression.reader(packed), making.target)
    os.unlink(archive)
    return _date(entry)


def _entry(making: Making, address: str) -> dict[str, Any]:
    """The flavour's entry of latest-releases.yaml."""
    import yaml

    making.say(f"Fetching {address}")
    path = f"{making.staging}/latest-releases.yaml"
    _fetch(making, address, path, _LIST_LIMIT)
    try:
        with open(path, "rb") as stream:
            listed = yaml.safe_load(stream)
    except yaml.YAMLError:
        listed = None
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and entry.get("flavor") == making.template.flavour and _is_usable(entry):
            return entry
    raise making.failed(address, f"no usable entry of flavour {making.template.flavour}")


def _is_usable(entry: dict[str, Any]) -> bool:
    return bool(_FILE.fullmatch(str(entry.get("file"))) and re.fullmatch(r"[0-9a-f]{64}", str(entry.get("sha256"))))


def _fetch(making: Making, address: str, path: str, limit: int) -> str:
    """Fetch a file; returns its SHA-256 in hex."""
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer, open(path, "wb") as out:
            while chunk := answer.read(1 << 18):
                size += len(chunk)
                if size > limit:
                    raise making.failed(address, f"longer than {limit} bytes")
                digest.update(chunk)
                out.write(chunk)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise making.failed(address, f"could not be fetched: {getattr(reason, 'strerror', None) or reason}") from error
    return digest.hexdigest()


def _date(entry: dict[str, Any]) -> float | None:
    import datetime

    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", str(entry.get("date", "")))
    if not found:
        return None
    return datetime.datetime(*map(int, found.groups()), tzinfo=datetime.timezone.utc).timestamp()  # type: ignore[arg-type,misc]
