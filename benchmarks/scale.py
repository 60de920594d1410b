"""From one container to hundreds: what ``ps``, ``run``, ``exec`` and each container's memory cost as they grow.

Writes SCALE.rst (a table) and SCALE.svg (a plot).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
import memory
from cases import BASE
from main import base_archive
from peers import Peer, all_peers, remove
from report import machine, section
from surroundings import preserved

matplotlib.use("svg")
from matplotlib import pyplot

NEEDED = ("dockerd", "debootstrap", "iptables")
STEPS = (1, 10, 50, 100, 200, 300)

HEAD = """\
Scale
=====

lxcwrap beside dockerd with more and more idle containers on the default bridge, one program after the other, medians
of {rounds}.  Written by::

    sudo benchmarks/run scale --steps {steps} --rounds {rounds}

{machine}

.. image:: SCALE.svg

"""

FOOT = """\
``run`` is ``run --rm IMAGE true`` while the others run.  Memory is the summed PSS of every process that is kept for
the containers, their own processes not counted, divided by their number.
"""

Measure = Callable[[Peer, str], float]
MEASURES: dict[str, tuple[str, Measure]] = {
    "ps": ("ps, ms", lambda peer, name: 1000 * peer.time("ps")),
    "run": ("run, ms", lambda peer, name: 1000 * peer.time("run", "--rm", BASE, "true")),
    "exec": ("exec, ms", lambda peer, name: 1000 * peer.time("exec", name, "true")),
}
MEMORY = "memory, KiB a container"


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = _options()
    missing = [program for program in NEEDED if not shutil.which(program)]
    if os.geteuid() or missing:
        sys.exit(f"benchmarks: {'not installed: ' + ', '.join(missing) if missing else 'needs root'}")
    place = Path(options.scratch)
    archive = base_archive(Path(options.cache))
    results: dict[str, Any] = {"load": os.getloadavg()[0], "versions": {}, "scale": {}}
    with ExitStack() as undo:
        remove(place)
        undo.callback(remove, place)
        undo.enter_context(preserved())
        for peer in all_peers(place, options.peers):
            peer.start()
            undo.callback(peer.stop)
            results["versions"][peer.name] = peer.version()
            results["scale"][peer.name] = _grow(peer, archive, options.steps, options.rounds)
            peer.stop_containers()
    output = Path(options.output)
    output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    _plot(results["scale"], output.with_suffix(".svg"))
    output.write_text(_render(results, options))
    print(f"wrote {output}")


def _options() -> argparse.Namespace:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(prog="benchmarks/run scale")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=lambda text: [int(word) for word in text.split(",")], default=list(STEPS))
    parser.add_argument("--peers", type=lambda text: text.split(","), default=["dockerd", "lxcwrap"])
    parser.add_argument("--output", default=str(here / "SCALE.rst"))
    parser.add_argument("--scratch", default="/var/tmp/lxcwrap-bench")
    parser.add_argument("--cache", default="/var/cache/lxcwrap-bench")
    return parser.parse_args()


def _grow(peer: Peer, archive: Path, steps: Sequence[int], rounds: int) -> dict[str, list[float]]:
    """The medians of each measure at each number of containers."""
    peer.run("import", str(archive), BASE)
    rows: dict[str, list[float]] = {title: [] for title, _ in MEASURES.values()} | {MEMORY: []}
    count = 0
    for step in steps:
        for number in range(count, step):
            peer.run("run", "-d", "--name", f"many{number}", BASE, "sleep", memory.MARK)
        count = step
        for title, measure in MEASURES.values():
            rows[title].append(median(measure(peer, f"many{step // 2}") for _ in range(rounds)))
        kept, _ = memory.kept_for(peer, step)
        rows[MEMORY].append(kept / step)
        print(peer.name, step, {title: round(values[-1]) for title, values in rows.items()}, flush=True)
    return rows | {"containers": list(map(float, steps))}


def _plot(scale: dict[str, dict[str, list[float]]], path: Path) -> None:
    titles = [*(title for title, _ in MEASURES.values()), MEMORY]
    figure, places = pyplot.subplots(1, len(titles), figsize=(14, 3.2))
    for title, place in zip(titles, places, strict=True):
        for name, rows in scale.items():
            place.plot(rows["containers"], rows[title], marker="o", label=name)
        place.set_title(title)
        place.set_xlabel("containers")
        place.set_ylim(bottom=0)
        place.grid(alpha=0.3)
    places[0].legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _render(results: dict[str, Any], options: argparse.Namespace) -> str:
    scale = results["scale"]
    titles = [*(title for title, _ in MEASURES.values()), MEMORY]
    rows = [["containers", *(f"{title}: {name}" for title in titles for name in scale)]]
    for place, step in enumerate(options.steps):
        rows.append([str(step), *(f"{scale[name][title][place]:.0f}" for title in titles for name in scale)])
    head = HEAD.format(rounds=options.rounds, steps=",".join(map(str, options.steps)), machine=machine(results))
    return "\n".join([head.rstrip("\n") + "\n", section("Table", rows), FOOT])


if __name__ == "__main__":
    main()
