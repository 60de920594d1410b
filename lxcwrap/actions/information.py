"""``info``: this host as lxcwrap sees it, and what is not as it should be.

Source of the members' names: Docker Engine API v1.48, SystemInfo.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import Counter
from typing import Any

from lxcwrap import __version__
from lxcwrap.actions import listing, stats, versions
from lxcwrap.errors import Conflict, LxcwrapError
from lxcwrap.model.godata import GoMap
from lxcwrap.model.image import Platform
from lxcwrap.runtime import host
from lxcwrap.storage import driver as drivers
from lxcwrap.store import images, staging
from lxcwrap.store.database import Store


def document(store: Store, wanted: str | None) -> dict[str, Any]:
    """The whole page, by Docker's names; ours besides are UserNamespaces and UserNamespacesReason.

    ``wanted`` is the storage driver that was asked for.
    """
    states = Counter(entry.state.status for entry in listing.select(store, everything=True))
    system, kernel = host.facts(), os.uname()
    driver, reason = _storage(store, wanted)
    return {
        "ID": store.paths.tag,
        "Containers": sum(states.values()),
        "ContainersRunning": states["running"] + states["restarting"],
        "ContainersPaused": states["paused"],
        "ContainersStopped": states["created"] + states["exited"] + states["dead"],
        "Images": len(images.listing(store)),
        "Driver": driver,
        "DriverStatus": [["Backing Filesystem", _file_system(store.paths.root)]],
        "Plugins": {"Volume": ["local"], "Network": ["bridge", "host", "none"], "Log": ["journald", "local", "none"]},
        "MemoryLimit": "memory" in system.controllers,
        "SwapLimit": system.swap_limit,
        "PidsLimit": "pids" in system.controllers,
        "CPUShares": "cpu" in system.controllers,
        "CPUSet": "cpuset" in system.controllers,
        "IPv4Forwarding": _read("/proc/sys/net/ipv4/ip_forward") == "1",
        "SystemTime": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "LoggingDriver": "local",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if system.unified else "1",
        "UserNamespaces": not reason,
        "UserNamespacesReason": reason,
        "KernelVersion": kernel.release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": kernel.machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": stats.memory_total(),
        "DockerRootDir": store.paths.root,
        "Name": kernel.nodename,
        "ServerVersion": __version__,
        "DefaultRuntime": "lxc",
        "Runtimes": GoMap({"lxc": {"path": "liblxc", "version": versions.liblxc()}}),
        "InitBinary": "lxcwrap",
        "SecurityOptions": _security(system.apparmor, not reason),
        "RegistryConfig": _registries(),
        "Platform": str(Platform.host()),
        "Labels": [],
        "Warnings": _warnings(store, driver, reason),
    }


def _storage(store: Store, wanted: str | None) -> tuple[str, str]:
    """The storage driver's name, and why containers have no user namespaces ('' when they have)."""
    try:
        driver = drivers.choose(store, wanted)
        with staging.directory(store.paths, "probe") as directory:
            return drivers.name_of(driver), driver.no_user_namespaces(directory)
    except Conflict:  # another one was asked for
        raise
    except LxcwrapError as error:
        return "", error.message


def _file_system(path: str) -> str:
    """The type of the file system that holds ``path``, by the longest mount point above it."""
    best, found = "", "unknown"
    for line in _read("/proc/self/mounts").splitlines():
        fields = line.split()
        point = fields[1].replace("\\040", " ")
        if len(point) >= len(best) and (path + "/").startswith(point.rstrip("/") + "/"):
            best, found = point, fields[2]
    return found


def _operating_system() -> str:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        match = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read(path), re.MULTILINE)
        if match:
            return match[1]
    return "Linux"


def _security(apparmor: bool, user_namespaces: bool) -> list[str]:
    options = ["name=apparmor"] if apparmor else []
    options.append("name=seccomp,profile=builtin")
    return [*options, "name=userns"] if user_namespaces else options


def _registries() -> dict[str, Any]:
    from lxcwrap.registry import trust

    try:
        known = trust.load()
    except LxcwrapError:
        known = trust.Registries()
    mirrors = dict(known.mirrors)
    return {
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128", *(item for item in known.insecure if "/" in item)],
        "InsecureRegistries": [item for item in known.insecure if "/" not in item],
        "Mirrors": list(mirrors.get("docker.io", ())),
        "MirrorsByRegistry": GoMap({name: list(urls) for name, urls in mirrors.items()}),
    }


def _warnings(store: Store, driver: str, no_namespaces: str) -> list[str]:
    """What a user should know: each a whole sentence."""
    found = []
    if no_namespaces:
        found.append(f"Containers run without user namespaces: root in them is root here ({no_namespaces}).")
    if driver == "vfs":
        found.append("The storage driver vfs copies every layer whole: slow, and large on disk.")
    for controller, what in (("memory", "memory"), ("pids", "process"), ("cpu", "processor")):
        if controller not in host.facts().controllers:
            found.append(f"This kernel keeps no {what} limits (no {controller} controller).")
    if not host.facts().swap_limit:
        found.append("This kernel keeps no swap limit.")
    if _read("/proc/sys/net/ipv4/ip_forward") == "0":
        found.append("IPv4 forwarding is off: containers reach nothing outside until one is started with a network.")
    for name in _dropping(store.paths.nft_table):
        found.append(
            f"{name} drops forwarded packets unless its own rules accept them: containers may not reach the outside, "
            f"nor be reached; let {store.paths.bridge} pass there."
        )
    return found


def _dropping(own: str) -> list[str]:
    """Chains of other firewalls that forwarded packets must pass and that drop by default."""
    found = []
    chains = _output(["nft", "list", "chains"])
    for table, body in re.findall(r"^table \S+ (\S+) \{\n(.*?)^\}", chains, re.MULTILINE | re.DOTALL):
        for chain, hook in re.findall(r"^\tchain (\S+) \{\n\t\ttype ([^\n]*)", body, re.MULTILINE):
            if table != own and "hook forward" in hook and "policy drop" in hook:
                found.append(f"The nftables chain {table} {chain}")
    if "-P FORWARD DROP" in _output(["iptables-legacy", "-S", "FORWARD"]):
        found.append("The iptables chain FORWARD")
    return found


def _output(argv: list[str]) -> str:
    """What a program says, '' where it is missing or fails."""
    try:
        return subprocess.run(argv, capture_output=True, check=True, timeout=10).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""
