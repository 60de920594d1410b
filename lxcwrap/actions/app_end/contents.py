"""Contents of secrets and configs on this host, in versions.

``PLACE/APP/KEY/VERSION/content`` is a version's content; beside it is a file for each way in which it is used, named
``UID-GID-MODE``, which containers have mounted.  ``PLACE/APP/KEY/current`` names the present version.  Secrets are in
memory, beneath the run directory; configs are on the disk.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import Any

from lxcwrap.errors import Conflict, NotFound, UsageError
from lxcwrap.kernel import lock, mount, mountinfo
from lxcwrap.kernel.files import write_atomically
from lxcwrap.model.names import check_name
from lxcwrap.model.paths import Paths
from lxcwrap.store.database import Store

LIMIT = 1 << 20  # bytes of one content
_USE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})-([0-7]{4})")
_VERSION = re.compile(r"[0-9a-f]{8,64}")
_SPACE = "mode=0700,size=256m"


def place(paths: Paths, *, config: bool) -> str:
    return f"{paths.root}/configs" if config else f"{paths.run}/secrets"


def put(paths: Paths, app: str, key: str, content: bytes, *, config: bool, version: str = "") -> str:
    """Keep it, as ``version`` if it is new (one is made up without), and make it the present one; its version."""
    if len(content) > LIMIT:
        raise UsageError(f"{key}: more than {LIMIT >> 20} MiB", hint="mount a volume for what is larger")
    if version and not _VERSION.fullmatch(version):
        raise UsageError(f"version {version!r:.80} is not 8 to 64 hexadecimal digits")
    folder = _folder(paths, app, key, config=config)
    with lock.held(_lock(paths, app)):
        _prepare(paths, config=config)
        known = next((one for one in _versions(folder) if _read(f"{folder}/{one}/content") == content), "")
        if not known:
            known = version or os.urandom(8).hex()
            if known in _versions(folder):
                raise Conflict(f"version {known} of {key} has another content", hint="leave the version out")
            os.makedirs(f"{folder}/{known}", 0o700)
            write_atomically(f"{folder}/{known}/content", content, 0o600)
        write_atomically(f"{folder}/current", known.encode(), 0o600)
    return known


def compare(paths: Paths, app: str, key: str, content: bytes, *, config: bool) -> str:
    """The present version if that is its content; '' otherwise."""
    folder = _folder(paths, app, key, config=config)
    version = _current(folder)
    return version if version and _read(f"{folder}/{version}/content") == content else ""


def current(paths: Paths, app: str) -> tuple[tuple[str, str], ...]:
    """Key and present version of everything that the application has here."""
    found = []
    for config in (False, True):
        folder = f"{place(paths, config=config)}/{app}"
        found += [(key, _current(f"{folder}/{key}")) for key in _names(folder)]
    return tuple((key, version) for key, version in found if version)


def listing(store: Store, app: str) -> list[dict[str, Any]]:
    """All versions, and the containers that use each; contents are not told."""
    found = []
    for config in (False, True):
        folder = f"{place(store.paths, config=config)}/{check_name(app, 'application')}"
        for key in _names(folder):
            for version in _versions(f"{folder}/{key}"):
                known = os.stat(f"{folder}/{key}/{version}/content")
                found.append({
                    "key": key, "kind": "config" if config else "secret", "version": version,
                    "current": version == _current(f"{folder}/{key}"), "size": known.st_size,
                    "created": known.st_mtime, "users": _users(store, f"{folder}/{key}/{version}"),
                })  # fmt: skip
    return found


def remove(store: Store, app: str, key: str = "", version: str = "", *, unused: bool = False) -> list[str]:
    """Remove a version, or all of a key or of the application; what was removed, as KEY/VERSION.

    ``unused``: only what is not the present version and no container uses.  Raises NotFound, and Conflict for what a
    container uses; then nothing is removed.
    """
    with lock.held(_lock(store.paths, app)):
        every = listing(store, app)
        chosen = [one for one in every if one["key"] == (key or one["key"]) and version in ("", one["version"])]
        if unused:
            chosen = [one for one in chosen if not one["users"] and not one["current"]]
        elif key and not chosen:
            raise NotFound(f"application {app} has no {key} {version}".rstrip() + " on this host")
        for one in chosen:
            if one["users"]:
                raise Conflict(
                    f"{one['key']} is in use by container {', '.join(one['users'])}", hint="remove the container first"
                )
        for one in chosen:
            _remove(f"{place(store.paths, config=one['kind'] == 'config')}/{app}", one)
    return [f"{one['key']}/{one['version']}" for one in chosen]


def _remove(folder: str, one: dict[str, Any]) -> None:
    shutil.rmtree(f"{folder}/{one['key']}/{one['version']}")
    if one["current"]:
        os.unlink(f"{folder}/{one['key']}/current")
    if not _versions(f"{folder}/{one['key']}"):
        shutil.rmtree(f"{folder}/{one['key']}")
    if not os.listdir(folder):
        os.rmdir(folder)


def file_of(paths: Paths, app: str, key: str, version: str, use: str, *, config: bool) -> str:
    """The path of the file for a use (``UID-GID-MODE``), which is made if it is missing.  Raises NotFound."""
    path = f"{_folder(paths, app, key, config=config)}/{version}/{use}"
    if not provide(paths, path):
        raise UsageError(f"{version}/{use} is not VERSION/UID-GID-MODE", hint="for example 0-0-0444")
    return path


def provide(paths: Paths, path: str) -> bool:
    """Make the file of a use at ``path``; False when the path is none.  Raises NotFound when its content is gone."""
    for config in (False, True):
        words = path.removeprefix(place(paths, config=config) + "/").split("/")
        match = _USE.fullmatch(words[-1])
        if path.startswith("/".join((place(paths, config=config), *words))) and len(words) == 4 and match:
            break
    else:
        return False
    app, key, version, _ = words
    content = _read(f"{os.path.dirname(path)}/content")
    if content is None:
        raise NotFound(
            f"{'config' if config else 'secret'} {key} (version {version}) of application {app} is not on this host",
            hint="lxcwrap deploy brings it" + ("" if config else ": secrets do not outlast a reboot"),
            exit_code=125,
        )
    if not os.path.exists(path):
        _write_use(path, content, int(match[1]), int(match[2]), int(match[3], 8))
    return True


def _write_use(path: str, content: bytes, uid: int, gid: int, mode: int) -> None:
    """Complete from the moment at which it is there, and never anybody else's."""
    beside = f"{path}.{os.getpid()}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
    os.rename(beside, path)


def _prepare(paths: Paths, *, config: bool) -> None:
    """The directory that only root enters; for secrets one in memory."""
    folder = place(paths, config=config)
    os.makedirs(os.path.dirname(folder), 0o711, exist_ok=True)
    os.makedirs(folder, 0o700, exist_ok=True)
    if config:
        return
    with lock.held(f"{folder}.lock"):
        if mountinfo.holding(os.path.realpath(folder)).kind not in ("tmpfs", "ramfs"):
            flags = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
            mount.mount("lxcwrap-secrets", folder, "tmpfs", flags, _SPACE)


def _lock(paths: Paths, app: str) -> str:
    return f"{paths.run}/apps/{check_name(app, 'application')}/contents"


def _folder(paths: Paths, app: str, key: str, *, config: bool) -> str:
    return f"{place(paths, config=config)}/{check_name(app, 'application')}/{check_name(key, 'secret')}"


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _versions(folder: str) -> list[str]:
    """Those that are complete."""
    return [name for name in _names(folder) if os.path.exists(f"{folder}/{name}/content")]


def _current(folder: str) -> str:
    version = (_read(f"{folder}/current") or b"").decode()
    return version if version and os.path.exists(f"{folder}/{version}/content") else ""


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _users(store: Store, folder: str) -> list[str]:
    """Names of the containers that have a file in the folder mounted."""
    import json

    wanted = json.dumps(f"{folder}/")[1:-1]
    rows = store.db.execute("SELECT name FROM containers WHERE instr(config, ?) ORDER BY name", (wanted,))
    return [row["name"] for row in rows]
