"""What is timed.  Each case yields (peer, seconds) for every round, the peers taking turns."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from peers import Peer
from registry import Registry

BASE = "bench/base:latest"
STEPS = 20


@dataclass(frozen=True)
class Bench:
    """What the cases share: the peers, the archive of the base, a registry, how many rounds."""

    peers: list[Peer]
    archive: Path
    registry: Registry
    place: Path
    rounds: int

    def turns(self, count: int = 0) -> Iterator[Peer]:
        """The peers, in another order every round."""
        for _ in range(count or self.rounds):
            order = list(self.peers)
            random.shuffle(order)
            yield from order


Sample = tuple[str, float]


def run_bridge(bench: Bench) -> Iterator[Sample]:
    yield from ((peer.name, peer.time("run", "--rm", BASE, "true")) for peer in bench.turns())


def run_alone(bench: Bench) -> Iterator[Sample]:
    yield from ((peer.name, peer.time("run", "--rm", "--network", "none", BASE, "true")) for peer in bench.turns())


def execute(bench: Bench) -> Iterator[Sample]:
    for peer in bench.peers:
        peer.run("run", "-d", "--name", "execed", BASE, "sleep", "infinity")
    yield from ((peer.name, peer.time("exec", "execed", "true")) for peer in bench.turns())
    for peer in bench.peers:
        peer.run("rm", "-f", "execed")


def listing(bench: Bench) -> Iterator[Sample]:
    """``ps`` with ten running containers, beside the bare interpreter that lxcwrap is written in."""
    names = [f"listed{number}" for number in range(10)]
    for peer in bench.peers:
        for name in names:
            peer.run("run", "-d", "--name", name, BASE, "sleep", "infinity")
    for number, peer in enumerate(bench.turns(2 * bench.rounds)):
        yield peer.name, peer.time("ps")
        if number % len(bench.peers) == 0:
            begun = time.perf_counter()
            subprocess.run(["/usr/bin/python3", "-c", "pass"], check=True)
            yield "python3 -c pass", time.perf_counter() - begun
    for peer in bench.peers:
        peer.run("rm", "-f", *names)


def _context(bench: Bench) -> str:
    place = bench.place / "context"
    place.mkdir(exist_ok=True)
    lines = [f"FROM {BASE}", *(f"RUN echo {number} >/file{number}" for number in range(STEPS))]
    (place / "Dockerfile").write_text("\n".join(lines) + "\n")
    return str(place)


def build(bench: Bench) -> Iterator[Sample]:
    place = _context(bench)
    for peer in bench.turns(max(3, bench.rounds // 4)):
        yield peer.name, peer.time("build", "-q", "--no-cache", "-t", "bench/built", place)


def rebuild(bench: Bench) -> Iterator[Sample]:
    place = _context(bench)
    for peer in bench.peers:
        peer.run("build", "-q", "-t", "bench/built", place)
    for peer in bench.turns():
        yield peer.name, peer.time("build", "-q", "-t", "bench/built", place)
    for peer in bench.peers:
        peer.quietly("rmi", "-f", "bench/built")


def _import_afresh(bench: Bench, peer: Peer, name: str) -> None:
    """The base again, from its archive: nothing kept from an earlier push can help."""
    peer.forget_images()
    peer.run("import", str(bench.archive), name)


def push(bench: Bench) -> Iterator[Sample]:
    target = f"{bench.registry.host}/bench/pushed:latest"
    for peer in bench.turns(max(3, bench.rounds // 4)):
        bench.registry.clear()
        _import_afresh(bench, peer, target)
        yield peer.name, peer.time("push", *peer.push_options, target)


def pull(bench: Bench) -> Iterator[Sample]:
    """Everybody pulls the same image, as dockerd (or the first peer) pushed it."""
    target = f"{bench.registry.host}/bench/pulled:latest"
    bench.registry.clear()
    _import_afresh(bench, bench.peers[0], target)
    bench.peers[0].run("push", *bench.peers[0].push_options, target)
    for peer in bench.turns(max(5, bench.rounds // 3)):
        peer.forget_images()
        yield peer.name, peer.time("pull", *peer.pull_options, target)


@dataclass(frozen=True)
class Case:
    """``limit``: how long lxcwrap may take as a share of ``against``."""

    name: str
    title: str
    measure: Callable[[Bench], Iterator[Sample]]
    limit: float
    against: str = "dockerd"


CASES = (
    Case("run", "``run --rm IMAGE true``, bridge", run_bridge, 0.45),
    Case("run-none", "``run --rm --network none IMAGE true``", run_alone, 0.45),
    Case("exec", "``exec C true``", execute, 0.8),
    Case("ps", "``ps``, 10 containers", listing, 6.0, "python3 -c pass"),
    Case("build", f"build, {STEPS} × ``RUN echo``, no cache", build, 0.35),
    Case("rebuild", "the same, all cached", rebuild, 1.0),
    Case("push", "push to a loopback registry", push, 0.25),
    Case("pull", "pull from it", pull, 0.8),
)
