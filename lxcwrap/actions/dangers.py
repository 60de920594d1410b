"""Combinations of a container's options that give it the host, in words.  Pure but for looking at what is mounted.

The single options are findings of their own (``actions/security.py``); here is what they come to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lxcwrap.model.container import ContainerConfig, Mount, MountKind

if TYPE_CHECKING:
    from lxcwrap.actions.security import Facts

# what makes root in the container about as good as the host's, without a user namespace
MIGHTY = frozenset(
    "SYS_ADMIN SYS_MODULE SYS_PTRACE SYS_RAWIO DAC_READ_SEARCH BPF PERFMON MKNOD NET_ADMIN SYS_BOOT SYS_TIME".split()
)
_ENGINES = (
    "docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock", "unix.socket", "cri-dockerd.sock",
    "system_bus_socket", "private",
)  # fmt: skip
# directories from which whoever may write to them becomes root: programs, configuration, jobs, other containers
_SYSTEM = ("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin",
           "/sys", "/usr", "/var", "/var/lib", "/var/lib/docker", "/var/lib/lxcwrap", "/var/run",
           "/var/spool/cron")  # fmt: skip
_SECRET = ("/", "/etc", "/root", "/proc", "/dev", "/var", "/var/lib", "/var/lib/docker", "/var/lib/lxcwrap")


def dangers(config: ContainerConfig, facts: Facts) -> Iterator[str]:
    """One sentence for each; none when nothing stands out."""
    for mount in config.mounts:
        if mount.kind is MountKind.BIND:
            yield from _of_mount(mount, mount.target in facts.writable)
    yield from _of_devices(config)
    if config.security.privileged:
        yield "its root is the host's for every purpose: it can mount the host's disks, load modules, trace anything"
        return
    mighty = [name for name in facts.capabilities if name in MIGHTY]
    if facts.id_base is None:
        yield from _without_users(facts, mighty)
    if "net" in facts.shared and facts.id_base is None and "NET_RAW" in facts.capabilities:
        yield "the host's network with NET_RAW: it can read and forge what the host sends and receives"


def _without_users(facts: Facts, mighty: list[str]) -> Iterator[str]:
    if mighty and not facts.filtered:
        yield f"root on the host with {', '.join(mighty)} and no system call filter: nothing holds it in the container"
    if "pid" in facts.shared:
        yield "sees the host's processes as root: it can end each of them" + (
            ", and read and change what they hold (SYS_PTRACE)" if "SYS_PTRACE" in mighty else ""
        )
    if "net" in facts.shared and "NET_ADMIN" in mighty:
        yield "the host's network with NET_ADMIN: it can change the host's addresses, routes and firewall"
    if "/proc/sys" in facts.uncovered:
        yield "root on the host may write to /proc/sys: kernel.core_pattern names a program that the host runs as root"


def _of_mount(mount: Mount, writable: bool) -> Iterator[str]:
    source = os.path.realpath(mount.source)
    name = os.path.basename(source)
    if _is_socket(source):
        if name in _ENGINES:
            yield f"{mount.source}: by that socket it can start containers or services as root of the host"
        else:
            yield f"{mount.source}: it can ask whatever listens on that socket of the host"
    elif writable and source in _SYSTEM:
        yield f"{mount.source} of the host can be written to: that is enough to become root there"
    elif not writable and source in _SECRET:
        yield f"{mount.source} of the host can be read, with the passwords and keys in it"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _of_devices(config: ContainerConfig) -> Iterator[str]:
    security = config.security
    for device in security.devices:
        try:
            block = stat.S_ISBLK(os.stat(device.source).st_mode)
        except OSError:
            continue
        if block:
            what = "read and written" if "w" in device.permissions else "read"
            yield f"{device.source}: every file on that disk can be {what}, whoever it belongs to"
        elif device.source in ("/dev/mem", "/dev/kmem", "/dev/port"):
            yield f"{device.source}: the host's memory"
    for rule in security.device_rules:
        if rule.split()[:2] in (["a", "*:*"], ["b", "*:*"], ["a"]) or rule.startswith("a"):
            yield f"the device rule '{rule}' covers every disk of the host"
