"""A hundred lives of containers from eight processes at once: none fails, and nothing of them is left in the kernel."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lxcwrap.model.paths import Paths

WORKERS, ROUNDS = 8, 13


def kernel_lists(root: str) -> dict[str, list[str]]:
    """What of this state root's containers is in the kernel: mounts, links, rules, cgroups, processes."""
    paths = Paths(root)
    rules = subprocess.run(["nft", "list", "table", "inet", paths.nft_table], capture_output=True, text=True).stdout
    bridge = Path(f"/sys/class/net/{paths.bridge}/brif")
    cgroups = subprocess.run(["find", "/sys/fs/cgroup", "-maxdepth", "2", "-name", "lxc.*"], capture_output=True)
    return {
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {root}/" in line],
        "links": sorted(os.listdir(bridge)) if bridge.exists() else [],
        "rules": re.findall(r"^.*dnat.*$|^\s+elements = .*$", rules, re.MULTILINE),
        "cgroups": sorted(name for name in cgroups.stdout.decode().split() if _is_ours(name, root)),
        "processes": [pid for pid in os.listdir("/proc") if pid.isdigit() and _works_for(pid, root)],
    }


def _is_ours(cgroup: str, root: str) -> bool:
    return cgroup.rpartition(".")[2] in _IDS.get(root, ())


def _works_for(pid: str, root: str) -> bool:
    try:
        return pid != str(os.getpid()) and f"LXCWRAP_ROOT={root}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


_IDS: dict[str, set[str]] = {}  # of the containers that there have been


def life(cli: Any, worker: int) -> list[str]:
    """Complaints of one process's share: run, stop, start, exec, remove; each with a published port."""
    complaints = []
    for number in range(ROUNDS):
        name = f"w{worker}-{number}"
        for words in (
            ("run", "-d", "--name", name, "-p", "80", "busybox", "sleep", "600"),
            ("exec", name, "true"),
            ("stop", "-t", "0", name),
            ("start", name),
            ("rm", "-f", name),
        ):
            done = cli(*words, check=False, timeout=120)
            if words[0] == "run":
                _IDS.setdefault(cli.root, set()).add(done.out.strip())
            if done.code:
                complaints.append(f"{' '.join(words)}: {done.code} {done.err}")
    return complaints


def test_eight_processes_at_once(cli: Any, busybox: str) -> None:
    cli("run", "--rm", busybox, "true")  # the bridge stays from the first on
    before = kernel_lists(cli.root)
    with ThreadPoolExecutor(WORKERS) as pool:
        complaints = [line for lines in pool.map(lambda worker: life(cli, worker), range(WORKERS)) for line in lines]
    assert complaints == []
    assert cli("ps", "-aq").out == ""
    assert kernel_lists(cli.root) == before
