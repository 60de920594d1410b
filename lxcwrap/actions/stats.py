"""``stats`` and ``top``: what running containers use, and their processes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from lxcwrap.errors import LxcwrapError, Unsupported
from lxcwrap.kernel import cgroup
from lxcwrap.kernel.cgroup import Usage
from lxcwrap.model.units import show_bytes, show_memory
from lxcwrap.runtime import state as states
from lxcwrap.store import containers, overview
from lxcwrap.store.database import Store


class Sample(NamedTuple):
    """One look at one container; ``usage`` None: it does not run."""

    id: str
    name: str
    moment: float  # seconds of the monotonic clock
    usage: Usage | None = None
    received: int = 0
    sent: int = 0


def chosen(store: Store, names: Sequence[str], *, everything: bool) -> list[str]:
    """The IDs to look at: those named, or all that run, or all.  Raises NotFound or Conflict."""
    if names:
        return [containers.resolve(store, name).id for name in names]
    known = [container.id for container in overview.containers(store)]
    return [each for each in known if everything or states.read(store.paths, each).live]


def sample(store: Store, ids: Iterable[str]) -> list[Sample]:
    """A look at each that still exists."""
    known = {container.id: container for container in overview.containers(store)}
    samples = []
    for container_id in ids:
        container = known.get(container_id)
        if not container:
            continue
        state = states.read(store.paths, container_id)
        own_network = container.config.get("network", {}).get("mode", "bridge") != "host"
        samples.append(_look(container_id, container.name, state.pid if state.live else 0, own_network))
    return samples


def _look(container_id: str, name: str, pid: int, own_network: bool) -> Sample:
    moment = time.monotonic()
    if not pid:
        return Sample(container_id, name, moment)
    try:
        usage = cgroup.usage(cgroup.find(pid, container_id))
        received, sent = network(pid) if own_network else (0, 0)
    except (FileNotFoundError, ProcessLookupError):
        return Sample(container_id, name, moment)  # it ended while we looked
    return Sample(container_id, name, moment, usage, received, sent)


def network(pid: int) -> tuple[int, int]:
    """Bytes received and sent by the interfaces of the process's network namespace, loopback left out."""
    received = sent = 0
    with open(f"/proc/{pid}/net/dev", encoding="ascii") as stream:
        for line in list(stream)[2:]:
            interface, _, counters = line.partition(":")
            if interface.strip() != "lo":
                fields = counters.split()
                received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent


def row(before: Sample | None, now: Sample, typed: str = "", *, truncate: bool = True) -> dict[str, Any]:
    """What ``stats`` prints, by the names that ``--format`` knows.  ``typed``: how the user named it."""
    plain = {
        "Container": typed or (now.id[:12] if truncate else now.id),
        "ID": now.id[:12] if truncate else now.id,
        "Name": now.name,
        "CPUPerc": "--",
        "MemUsage": "-- / --",
        "MemPerc": "--",
        "NetIO": "--",
        "BlockIO": "--",
        "PIDs": "--",
    }
    usage = now.usage
    if not usage:
        return plain
    limit = min(usage.limit or memory_total(), memory_total())
    return plain | {
        "CPUPerc": f"{cpu_share(before, now):.2f}%",
        "MemUsage": f"{show_memory(usage.memory)} / {show_memory(limit)}",
        "MemPerc": f"{100 * usage.memory / limit:.2f}%",
        "NetIO": f"{show_bytes(now.received)} / {show_bytes(now.sent)}",
        "BlockIO": f"{show_bytes(usage.read)} / {show_bytes(usage.written)}",
        "PIDs": str(usage.pids),
    }


def cpu_share(before: Sample | None, now: Sample) -> float:
    """Percent of one processor, so 200 on two that are busy."""
    if not before or not before.usage or not now.usage or now.moment <= before.moment:
        return 0.0
    return max(now.usage.cpu - before.usage.cpu, 0) / ((now.moment - before.moment) * 1e9) * 100


def memory_total() -> int:
    """Bytes of the host's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def processes(store: Store, text: str, options: Sequence[str]) -> list[list[str]]:
    """``top``: what the host's ps says of the container's processes, as rows of cells, the title first.

    Raises NotFound, or LxcwrapError when it does not run or ps does not take the options.
    """
    container = containers.resolve(store, text)
    state = states.read(store.paths, container.id)
    if not state.live or not state.pid:
        raise LxcwrapError(f"container {container.name} is not running", hint=f"lxcwrap start {container.name}")
    try:
        depth = _depth(state.pid)
        members = cgroup.processes(cgroup.find(state.pid, container.id))
        wanted = {pid for pid in members if _depth(pid) >= depth}  # not our own processes that serve an exec
    except (FileNotFoundError, ProcessLookupError):
        raise LxcwrapError(f"container {container.name} has just ended") from None
    return _rows(_ps(options or ("-ef",), wanted), wanted)


def _depth(pid: int) -> int:
    """In how many PID namespaces, one in the other, a process has a number; 0 when it has just ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            return next((len(line.split()) - 1 for line in stream if line.startswith("NSpid:")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _ps(options: Sequence[str], wanted: set[int]) -> list[str]:
    """The host's ps of these processes; some options do not go with -q, then of all."""
    lines, _ = _run_ps([*options, "-q" + ",".join(map(str, sorted(wanted)))])
    if not lines:
        lines, error = _run_ps(options)
        if not lines:
            raise LxcwrapError(f"ps {' '.join(options)}: {error}", hint="options are those of the host's ps")
    return lines


def _run_ps(options: Sequence[str]) -> tuple[list[str], str]:
    """What it prints, nothing when it fails, and the first line of its complaint."""
    environment = {**os.environ, "COLUMNS": "2000"}
    try:
        done = subprocess.run(["ps", *options], capture_output=True, check=False, env=environment)
    except FileNotFoundError:
        raise Unsupported("this host has no ps", hint="install procps") from None
    complaint = done.stderr.decode(errors="replace").strip().splitlines() or ["it shows nothing"]
    return [] if done.returncode else done.stdout.decode(errors="replace").splitlines(), complaint[0]


def _rows(lines: list[str], wanted: set[int]) -> list[list[str]]:
    title = lines[0].split() if lines else []
    if "PID" not in title:
        raise LxcwrapError("ps shows no PID column", hint="add pid to the format: -o pid,cmd")
    place = title.index("PID")
    rows = [title]
    for line in lines[1:]:
        cells = line.split(None, len(title) - 1)
        if len(cells) > place and cells[place].isdigit() and int(cells[place]) in wanted:
            rows.append(cells + [""] * (len(title) - len(cells)))
    return rows
