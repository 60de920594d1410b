"""What one state root has in the kernel and in the volatile directories, to be compared before and after a fault."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import time
from dataclasses import dataclass, fields
from pathlib import Path

from lxcwrap.model.paths import Paths

_STILL = 0.3  # seconds without a change
_SETTLE = 8.0  # seconds that what was killed may take to be gone
_BUILD = re.compile(r"(build-[0-9a-f]{12})-s\d+-\d+")  # the name of a build step's container


@dataclass(frozen=True)
class KernelLists:
    """Each a sorted list of readable lines."""

    mounts: tuple[str, ...]
    interfaces: tuple[str, ...]
    rules: tuple[str, ...]
    cgroups: tuple[str, ...]
    processes: tuple[str, ...]
    loops: tuple[str, ...]
    rows: tuple[str, ...]  # leases and published ports
    volatile: tuple[str, ...]  # names in the run directory and in liblxc's

    @classmethod
    def of(cls, root: str) -> KernelLists:
        paths = Paths(root)
        ids = _ids(paths)
        lists = (
            [line.split(" ", 2)[2] for line in _lines("/proc/self/mountinfo") if f" {root}/" in line],
            _interfaces(paths, ids),
            _rules(paths),
            _cgroups(paths, ids),
            _processes(paths, ids),
            [f"{loop}" for loop in Path("/sys/block").glob("loop*/loop/backing_file") if root in "".join(_lines(loop))],
            _rows(paths),
            _volatile(paths),
        )
        return cls(*(tuple(sorted(found)) for found in lists))

    @classmethod
    def settled(cls, root: str) -> KernelLists:
        """When nothing changes any more: what ended a moment ago is still being taken down."""
        known, limit = cls.of(root), time.monotonic() + _SETTLE
        while time.monotonic() < limit:
            time.sleep(_STILL)
            before, known = known, cls.of(root)
            if before == known:
                break
        return known

    def difference(self, other: KernelLists) -> str:
        """A line for each thing that only one of the two has: + is new in ``other``; '' when they are the same."""
        lines = []
        for field in fields(self):
            mine, theirs = set(getattr(self, field.name)), set(getattr(other, field.name))
            if field.name != "processes":  # one that helped an earlier test may end by itself meanwhile
                lines += [f"- {field.name}: {line}" for line in sorted(mine - theirs)]
            lines += [f"+ {field.name}: {line}" for line in sorted(theirs - mine)]
        return "\n".join(lines)


def leaked(root: str, before: KernelLists, seconds: float = _SETTLE) -> str:
    """What is not as it was ``before``, once it had some time to go; '' when nothing is."""
    limit = time.monotonic() + seconds
    while (difference := before.difference(KernelLists.of(root))) and time.monotonic() < limit:
        time.sleep(0.1)
    return difference


def supervisor_of(root: str, container_id: str) -> int:
    state = Path(Paths(root).container(container_id), "state.json")
    return int(json.loads(state.read_text())["supervisor"])


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:  # it went away
        return []


def _ids(paths: Paths) -> set[str]:
    """All containers that there have ever been, by the journal and by the database."""
    found = set(re.findall(r"\b[0-9a-f]{64}\b", "\n".join(_lines(paths.events))))
    return found | set(_query(paths, "SELECT id FROM containers"))


def _query(paths: Paths, query: str) -> list[str]:
    if not os.path.exists(paths.database):
        return []
    db = sqlite3.connect(paths.database, timeout=30)
    try:
        return [" ".join(map(str, row)) for row in db.execute(query)]
    finally:
        db.close()


def _interfaces(paths: Paths, ids: set[str]) -> list[str]:
    bridges = {paths.bridge, *_query(paths, "SELECT json_extract(config, '$.bridge') FROM networks")}
    links = {link for bridge in bridges for link in _names(f"/sys/class/net/{bridge}/brif")}
    own = {f"lxv{name[:7]}" for name in ids}
    return [name for name in _names("/sys/class/net") if name in bridges | links or name[:10] in own]


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _rules(paths: Paths) -> list[str]:
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.split("\n")
    own = [line.split()[1:] for line in listed if re.fullmatch(rf"{paths.nft_table}(_[0-9a-f]{{12}})?", line[11:])]
    found = []
    for name in own:
        rules = subprocess.run(["nft", "list", "table", *name], capture_output=True, text=True).stdout
        found += [f"{name[1]}: {' '.join(line.split())}" for line in rules.splitlines()]
    return found


def _cgroups(paths: Paths, ids: set[str]) -> list[str]:
    done = subprocess.run(
        ["find", "/sys/fs/cgroup", "-name", "lxc.*", "-type", "d", "-prune"], capture_output=True, text=True
    )
    groups = {path.rpartition("/")[2] for path in done.stdout.split()}
    return [group for group in groups if _is_own(group.split(".", 2)[-1], paths, ids)]


def _is_own(name: str, paths: Paths, ids: set[str]) -> bool:
    """A build's is anybody's whose liblxc folder is not in another root's staging."""
    build = _BUILD.match(name)
    if not build:
        return name[:64] in ids
    return all(paths.staging in str(place) for place in Path("/run/lxc").rglob(build[1]))


def _processes(paths: Paths, ids: set[str]) -> list[str]:
    return [
        f"{pid} {' '.join(''.join(_lines(f'/proc/{pid}/cmdline')).split(chr(0)))[:200]}"
        for pid in os.listdir("/proc")
        if pid.isdigit() and int(pid) not in (os.getpid(), os.getppid()) and _works_for(pid, paths, ids)
    ]


def _works_for(pid: str, paths: Paths, ids: set[str]) -> bool:
    """By its environment, its arguments, its control groups or the files that it has open."""
    if f"LXCWRAP_ROOT={paths.root}" in "\n".join(_lines(f"/proc/{pid}/environ")).split("\0"):
        return True
    words = "\n".join(_lines(f"/proc/{pid}/cmdline"))
    if paths.root in words or f"{paths.run}/" in words:
        return True
    if ids & set(re.findall(r"[0-9a-f]{64}", "".join(_lines(f"/proc/{pid}/cgroup")))):
        return True
    return any(
        _target(f"/proc/{pid}/fd/{name}").startswith((f"{paths.root}/", f"{paths.run}/"))
        for name in _names(f"/proc/{pid}/fd")
    )


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _rows(paths: Paths) -> list[str]:
    leases = _query(paths, "SELECT 'lease', network_id, address, container_id FROM leases")
    return leases + _query(paths, "SELECT 'port', protocol, host_ip, host_port, container_id FROM published_ports")


def _volatile(paths: Paths) -> list[str]:
    folders = [f"{paths.run}/containers", f"{paths.run}/networks"]
    folders += [f"/run/lxc{paths.run}/containers", f"/run/lxc/lock{paths.run}/containers"]
    folders += [f"/run/lxc{paths.staging}", f"/run/lxc/lock{paths.staging}"]
    return [f"{folder}/{name}" for folder in folders for name in _names(folder)]
