"""One run: set up, take turns, write the table."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import memory
import report
from cases import BASE, CASES, Bench, Case
from peers import Peer, all_peers, remove
from registry import Registry
from surroundings import preserved

NEEDED = ("dockerd", "podman", "runc", "docker-registry", "debootstrap", "iptables")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # unwinds as Ctrl-C does
    options = _options()
    missing = [program for program in NEEDED if not shutil.which(program)]
    if os.geteuid() or missing:
        sys.exit(f"benchmarks: {'not installed: ' + ', '.join(missing) if missing else 'needs root'}")
    place = Path(options.scratch)
    archive = base_archive(Path(options.cache))
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    with ExitStack() as undo:
        remove(place)
        undo.callback(remove, place)
        undo.enter_context(preserved())
        bench = _set_up(place, archive, options, undo)
        results = {"load": os.getloadavg()[0], "versions": {peer.name: peer.version() for peer in bench.peers}}
        results["times"] = {case.name: _measure(bench, case) for case in chosen}
        if not options.only or "memory" in options.only:
            results["memory"] = _measure_memory(bench)
    Path(options.output).with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    Path(options.output).write_text(report.render(results, chosen, options.rounds))
    print(f"wrote {options.output}")


def _options() -> argparse.Namespace:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(prog="benchmarks/run")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="cases, or memory")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=["dockerd", "podman", "lxcwrap"])
    parser.add_argument("--output", default=str(here / "RESULTS.rst"))
    parser.add_argument("--scratch", default="/var/tmp/lxcwrap-bench")
    parser.add_argument("--cache", default="/var/cache/lxcwrap-bench")
    return parser.parse_args()


def base_archive(cache: Path) -> Path:
    """A Debian minbase as a tar; made once per machine."""
    archive = cache / "debian.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        tree = cache / "debian"
        print("debootstrap …", flush=True)
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(tree)], check=True, capture_output=True)
        subprocess.run(["tar", "--numeric-owner", "-C", str(tree), "-cf", f"{archive}.part", "."], check=True)
        os.rename(f"{archive}.part", archive)
        shutil.rmtree(tree)
    return archive


def _set_up(place: Path, archive: Path, options: argparse.Namespace, undo: ExitStack) -> Bench:
    registry = Registry(place / "registry")
    registry.start()
    undo.callback(registry.stop)
    peers: list[Peer] = []
    for peer in all_peers(place, options.peers):
        peer.start()
        undo.callback(peer.stop)
        peers.append(peer)
    return Bench(peers, archive, registry, place, options.rounds)


def _measure(bench: Bench, case: Case) -> dict[str, list[float]]:
    print(f"{case.name} …", flush=True)
    for peer in bench.peers:
        peer.forget_images()
        peer.run("import", str(bench.archive), BASE)
        peer.run("run", "--rm", BASE, "true")  # the first one makes bridges and warms caches
    samples: dict[str, list[float]] = defaultdict(list)
    for name, seconds in case.measure(bench):
        samples[name].append(seconds)
    print("   ", report.one_line(samples), flush=True)
    return samples


def _measure_memory(bench: Bench) -> dict[str, dict[str, tuple[int, int]]]:
    rows: dict[str, dict[str, tuple[int, int]]] = {}
    for title, words in (("idle", ()), ("idle, a published port each", ("-p", "9"))):
        rows[title] = {}
        for peer in bench.peers:
            peer.forget_images()
            peer.run("import", str(bench.archive), BASE)
            rows[title][peer.name] = memory.measure(peer, *words)
            print("memory", title, peer.name, rows[title][peer.name], flush=True)
    return rows
