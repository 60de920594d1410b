"""What a machine says about itself when another asks: how it is, and whether it can run containers."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from typing import Any

from lxcwrap.errors import LxcwrapError
from lxcwrap.model.paths import Paths


@dataclass(frozen=True)
class Facts:
    """Sizes in bytes.  ``problems``: what it lacks, in words."""

    version: str
    system: str
    kernel: str
    processors: int
    load: float  # of the last minute
    memory: int
    memory_free: int
    disk: int  # of the file system that the state root is on
    disk_free: int
    running: int  # containers
    containers: int
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Facts:
        """Raises TypeError for what is none."""
        return cls(**{**plain, "problems": tuple(plain.get("problems", ()))})


def gather(paths: Paths) -> Facts:
    from lxcwrap import __version__

    place = paths.root
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    disk = shutil.disk_usage(place)
    memory = _memory()
    running, containers = _containers(paths)
    return Facts(
        version=__version__,
        system=_system(),
        kernel=platform.release(),
        processors=len(os.sched_getaffinity(0)),
        load=os.getloadavg()[0],
        memory=memory.get("MemTotal", 0),
        memory_free=memory.get("MemAvailable", 0),
        disk=disk.total,
        disk_free=disk.free,
        running=running,
        containers=containers,
        problems=tuple(_problems(disk.free)),
    )


def _memory() -> dict[str, int]:
    with open("/proc/meminfo", encoding="ascii") as stream:
        return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in stream)}


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _containers(paths: Paths) -> tuple[int, int]:
    """Running ones, and all."""
    if not os.path.exists(paths.database):
        return 0, 0
    from lxcwrap.runtime import state
    from lxcwrap.store.database import Store

    ids = [row["id"] for row in Store(paths).db.execute("SELECT id FROM containers")]
    return sum(state.read(paths, container_id).live for container_id in ids), len(ids)


def _problems(disk_free: int) -> list[str]:
    found = []
    if os.geteuid() != 0:
        found.append("lxcwrap runs there as a user who is not root: containers need root")
    try:
        from lxcwrap.runtime import lxc

        lxc.load()
    except LxcwrapError as error:
        found.append(error.message)
    for program, package in (("nft", "nftables"), ("dnsmasq", "dnsmasq-base"), ("newuidmap", "uidmap")):
        if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            found.append(f"there is no {program} (package {package})")
    with open("/proc/filesystems", encoding="ascii") as stream:
        if "overlay" not in stream.read().split():
            found.append("its kernel has no overlay file system loaded (modprobe overlay)")
    for name in ("/etc/subuid", "/etc/subgid"):
        if not _has_range(name):
            found.append(f"root has no range in {name}: containers' root would be the host's")
    if disk_free < 1 << 30:
        found.append(f"only {disk_free >> 20} MiB are free on the disk of its state")
    return found


def _has_range(name: str) -> bool:
    try:
        with open(name, encoding="utf-8", errors="replace") as stream:
            return any(line.startswith("root:") for line in stream)
    except OSError:
        return False
