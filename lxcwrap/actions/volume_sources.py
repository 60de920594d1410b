"""Volumes with options: what there is to mount in a volume's place, for containers and for looking into one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lxcwrap.errors import Conflict, LxcwrapError, NotFound, RuntimeFailure, Unsupported
from lxcwrap.kernel import mount as kernel
from lxcwrap.model import volume_options
from lxcwrap.model.container import Mount, MountKind
from lxcwrap.model.run_flags import PROPAGATION
from lxcwrap.runtime import filesystems
from lxcwrap.store.database import Store
from lxcwrap.store.volumes import Volume

_NETWORK = ("nfs", "nfs4", "cifs", "smb3")
_ATTRIBUTES = {
    "nosuid": kernel.MOUNT_ATTR_NOSUID, "nodev": kernel.MOUNT_ATTR_NODEV, "noexec": kernel.MOUNT_ATTR_NOEXEC,
}  # fmt: skip


def check(options: volume_options.Options) -> None:
    """Refuse a file system that this kernel does not have, by its name.  Raises Unsupported."""
    if not options or volume_options.is_bind(options):
        return
    kind = dict(options)["type"]
    if not filesystems.known(kind):
        raise Unsupported(
            f"volume option type={kind!r:.40}: this kernel has no such file system",
            hint="mount it on the host, and use type=none,o=bind,device=/dir",
        )


def item(store: Store, volume: Volume, mount: Mount, holder: str) -> dict[str, Any]:
    """What differs from a plain volume in the supervisor's plan; ``holder``: where it may mount the file system."""
    found = dict(volume.options)
    words = volume_options.words_of(found.get("o", ""))
    if volume_options.is_bind(volume.options):
        if not os.path.isdir(found["device"]):
            raise NotFound(f"volume {volume.name}: {found['device']} is no directory of this host", exit_code=125)
        attributes = 0
        for word in words:
            attributes |= _ATTRIBUTES.get(word, 0)
        return {
            "source": found["device"],
            "read_only": mount.read_only or "ro" in words,
            "options": [*(() if "rbind" in words else ("bind",)), *(word for word in words if word in PROPAGATION)],
            "attributes": attributes,
        }
    return {"source": f"{holder}/{volume.name}", "options": ["bind"], "filesystem": _filesystem(store, volume, words)}


def _filesystem(store: Store, volume: Volume, words: tuple[str, ...]) -> dict[str, Any]:
    found = dict(volume.options)
    if found["type"] in _NETWORK:
        words = tuple(map(_with_address, words))
    flags, rest = filesystems.flags(words)
    return {
        "name": volume.name,
        "type": found["type"],
        "device": found["device"],
        "flags": flags,
        "options": ",".join(rest),
        "holders": store.paths.volume_holders(volume.name),
    }


def _with_address(word: str) -> str:
    """``addr=HOST``: the kernel wants a number, which mount.nfs(8) and mount.cifs(8) look up."""
    name, _, host = word.partition("=")
    if name != "addr":
        return word
    try:
        return f"addr={socket.getaddrinfo(host, None)[0][4][0]}"
    except OSError as error:
        raise RuntimeFailure(f"volume option addr={host!r:.80}: {error.strerror}") from None


@contextmanager
def opened(store: Store, volume: Volume) -> Iterator[str]:
    """A path of the volume's files that is good while inside; a file system is mounted for that, and unseen elsewhere.

    Raises NotFound or LxcwrapError.
    """
    if not volume.options:
        yield store.paths.volume(volume.name)
        return
    place = f"{store.paths.run}/volumes/mnt"
    plan = item(store, volume, Mount(MountKind.VOLUME, "/", volume.name), place)
    if "filesystem" not in plan:
        yield plan["source"]
        return
    with kernel.private_namespace():
        try:
            fresh = filesystems.attach(plan["filesystem"], plan["source"], kept=False)
        except OSError as error:
            raise LxcwrapError(f"volume {volume.name} cannot be mounted: {error.strerror}") from None
        if fresh and plan["filesystem"]["type"] == "tmpfs":
            raise Conflict(f"volume {volume.name} is in memory, and only there while a container that has it runs")
        root = os.open(plan["source"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{root}/."
        finally:
            os.close(root)
