"""Time, bytes on the wire and memory of deploy, plan and ps over 1, 2, 4, 8 and 16 hosts; requests during updates.

    sudo benchmarks/run deployment [--hosts 1,2,4,8,16] [--rounds 3] [--updates 20] [--output FILE]

Writes DEPLOYMENT.rst (tables) and DEPLOYMENT.svg (a plot).  First a service on three hosts is updated ``--updates``
times while clients ask all three all the time.  Ends with 1 if a request failed.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lxcwrap.model.paths import Paths
from tests.conftest import CACHE, SCRATCH, Cli, state_root
from tests.fleet.conftest import Fleet, _archive
from tests.fleet.shop import Shop


class Cost(NamedTuple):
    seconds: float
    sent: int  # bytes, both ways
    memory: int  # KiB, of the operator's largest process


HEAD = """\
Deployment
==========

One service with a container on each of 1 to 16 hosts, which are containers with sshd on this machine; medians of
{rounds}.  KiB on the wire are all bytes over the hosts' bridge, both ways; memory is of the operator's largest
process.  ``app ps`` always asks all {most} hosts.  Written by::

    sudo benchmarks/run deployment --hosts {hosts} --rounds {rounds} --updates {updates}

- kernel {kernel}, {cores} cores, load {load:.1f} at the start
- {steady}

.. image:: DEPLOYMENT.svg

"""
CASES = ("first deploy", "deploy, nothing to do", "plan", "app ps", "update", "update, all at once")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", default="1,2,4,8,16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--output", default=str(Path(__file__).with_name("DEPLOYMENT.rst")))
    options = parser.parse_args()
    load = os.getloadavg()[0]
    failed, steady = False, "no updates under load"
    if options.updates:
        with fleet(3) as hosts:
            failed, steady = updated(hosts, options.updates)
    sizes = [int(size) for size in options.hosts.split(",")]
    with fleet(max(sizes)) as hosts:
        found = {size: measured(hosts, size, options.rounds) for size in sizes}
    head = HEAD.format(
        rounds=options.rounds, most=max(sizes), hosts=options.hosts, updates=options.updates, steady=steady, load=load,
        kernel=platform.release(), cores=os.cpu_count(),
    )  # fmt: skip
    output = Path(options.output)
    output.write_text("\n".join([head, *table(found)]).rstrip() + "\n")
    plot(found, output.with_suffix(".svg"))
    print(f"wrote {output}")
    sys.exit(failed)


def plot(found: dict[int, dict[str, Cost]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (times, wire) = pyplot.subplots(1, 2, figsize=(12, 3.6))
    for place, title, value in (
        (times, "seconds", lambda one: one.seconds),
        (wire, "KiB on the wire", lambda one: one.sent / 1024),
    ):
        for case in CASES:
            place.plot(list(found), [value(costs[case]) for costs in found.values()], marker="o", label=case)
        place.set_title(title)
        place.set_xlabel("hosts")
        place.set_ylim(bottom=0)
        place.grid(alpha=0.3)
    times.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


@contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    with state_root("bench-outer") as outer_root, state_root("bench-operator") as root:
        outer = Cli(outer_root)
        outer("load", "-i", _archive(outer, str(CACHE / "debian.tar")))
        home = SCRATCH / f"bench-home-{os.getpid()}"
        home.mkdir(parents=True)
        made = Fleet(outer, home)
        made.operator.environment["LXCWRAP_ROOT"] = made.operator.root = root

        def make(number: int) -> None:
            made.start(f"h{number}")
            made.equip(f"h{number}")
            made.answers(f"h{number}")

        try:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(make, range(count)))
            for number in range(count):
                made.enrol(f"h{number}")
            made("template", "build", "busybox")
            yield made
        finally:
            for name in made.addresses:
                outer("exec", name, "sh", "-c", "lxcwrap rm -f $(lxcwrap ps -aq)", check=False)
                outer("rm", "-f", name, check=False)
            subprocess.run(["rm", "-rf", home], check=False)


def measured(hosts: Fleet, size: int, rounds: int) -> dict[str, Cost]:
    folder = hosts.home / f"app{size}"
    folder.mkdir()
    app = Shop(hosts, folder, f"bench{size}", 8200, [f"h{number}" for number in range(size)])
    costs: dict[str, list[Cost]] = {case: [] for case in CASES}

    def take(case: str, *words: object) -> None:
        costs[case].append(cost(hosts, *words))

    version = 0
    for _ in range(rounds):
        version += 1
        app.write(str(version))
        take("first deploy", "deploy", app.file)
        take("deploy, nothing to do", "deploy", app.file)
        take("plan", "plan", app.file)
        take("app ps", "app", "ps", "-p", app.name)
        for case, parallelism in (("update", 1), ("update, all at once", 0)):
            version += 1
            app.write(str(version), web={"deploy": {"update_config": {"parallelism": parallelism}}})
            take(case, "deploy", app.file)
        app.down()
    return {case: Cost(*(median(column) for column in zip(*taken, strict=True))) for case, taken in costs.items()}


def updated(hosts: Fleet, updates: int) -> tuple[bool, str]:
    """Whether a request failed or was answered by a wrong version, and a line about them all."""
    folder = hosts.home / "steady"
    folder.mkdir()
    app = Shop(hosts, folder, "steady", 8200, ["h0", "h1", "h2"])
    app.deploy()
    began = time.monotonic()
    with app.asked("h0", "h1", "h2") as asking:
        for version in range(2, updates + 2):
            app.write(str(version))
            app.deploy()
    took = time.monotonic() - began
    print("\n".join(asking.failures[:10]))
    wrong = set(asking.answers) != {str(number) for number in range(1, updates + 2)}
    said = f"{updates} updates of a service on three hosts in {took:.0f} s, while clients asked all the time: "
    said += f"{len(asking.answers)} requests answered, {len(asking.failures)} failed"
    return bool(asking.failures) or wrong, said


def cost(hosts: Fleet, *words: object) -> Cost:
    bridge = Path("/sys/class/net") / Paths(hosts.outer.root).bridge / "statistics"

    def moved() -> int:
        return sum(int((bridge / name).read_text()) for name in ("rx_bytes", "tx_bytes"))

    before, began = moved(), time.monotonic()
    child = hosts.operator.popen(*words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{words}: {said.decode()}")
    return Cost(time.monotonic() - began, moved() - before, usage.ru_maxrss)


def table(found: dict[int, dict[str, Cost]]) -> Iterator[str]:
    forms: tuple[tuple[str, Callable[[Cost], str]], ...] = (
        ("Seconds", lambda one: f"{one.seconds:.2f}"),
        ("KiB on the wire", lambda one: f"{one.sent / 1024:.0f}"),
        ("MiB of memory", lambda one: f"{one.memory / 1024:.0f}"),
    )
    for title, form in forms:
        rows = [[title, *(f"{size} host{'s' if size > 1 else ''}" for size in found)]]
        rows += [[case, *(form(costs[case]) for costs in found.values())] for case in CASES]
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        line = "  ".join("=" * width for width in widths)
        cells = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        yield from (line, cells[0], line, *cells[1:], line, "")


if __name__ == "__main__":
    main()
