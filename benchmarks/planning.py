"""How long a plan takes, from ten hosts to two thousand, with five containers each on average.

    python3 benchmarks/planning.py [--rounds N]

Hosts are simulated: planning asks nobody and needs no root.  Times are of the processor.  Ends with 1 if a thousand
hosts take more than two seconds, or if time grows faster than the number of hosts.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lxcwrap.deploy.application import Application, Placement, Service
from lxcwrap.deploy.observation import APP, HostState, Replica, final_name
from lxcwrap.deploy.plan import Plan
from lxcwrap.deploy.planner import Options, plan

SIZES = (10, 30, 100, 250, 500, 1000, 2000)
EACH = 5  # containers per host
SERVICES = 50
IMAGE = "sha256:" + "1a" * 32
LIMIT, AT = 2.0, 1000  # seconds, hosts
GROWTH = 1.5  # how much slower than linear is put down to chance, from 100 hosts on
STEADY = 100

Case = Callable[[Application, list[HostState]], Plan]


def fleet(hosts: int) -> list[HostState]:
    """In ten zones, each host with every image and room for some."""
    images = tuple((f"example/service{number}:1", IMAGE) for number in range(SERVICES))
    return [
        HostState(f"host{number:05}", (("zone", str(number % 10)),), cpus=16, memory=2**36, images=images)
        for number in range(hosts)
    ]


def application(hosts: int) -> Application:
    """Every other service has something to say about where it goes."""
    total = hosts * EACH
    sizes = [total // SERVICES + (number < total % SERVICES) for number in range(SERVICES)]
    return Application("app", tuple(_service(number, size) for number, size in enumerate(sizes)))


def _service(number: int, replicas: int) -> Service:
    picky = Placement(("node.labels.zone!=9",), ("zone",))
    return Service(
        f"service{number}",
        f"example/service{number}:1",
        flags=("--env=A=1", "--memory=64m"),
        replicas=replicas,
        placement=picky if number % 2 else Placement(),
        reserved_cpus=0.1,
        reserved_memory=2**26,
    )


def deployed(made: Plan, states: Sequence[HostState]) -> list[HostState]:
    """The hosts as a first plan leaves them."""
    found: dict[str, list[Replica]] = {}
    for change in made.changes:
        name = final_name(made.app, change.service, change.slot)
        replica = Replica(
            name, name, change.service, change.slot, 1, change.spec, IMAGE, "running", labels=((APP, made.app),)
        )
        found.setdefault(change.host, []).append(replica)
    return [replace(state, replicas=tuple(found.get(state.name, ()))) for state in states]


def _first(app: Application, states: list[HostState]) -> Plan:
    return plan(app, [replace(state, replicas=()) for state in states], release=1)


def _again(app: Application, states: list[HostState]) -> Plan:
    return plan(app, states, release=2)


def _newer(app: Application, states: list[HostState]) -> Plan:
    services = tuple(replace(service, flags=("--env=A=2", "--memory=64m")) for service in app.services)
    return plan(replace(app, services=services), states, release=2, options=Options(previous=app))


def _emptied(app: Application, states: list[HostState]) -> Plan:
    return plan(app, states, release=2, options=Options(drained=tuple(state.name for state in states[::10])))


CASES: dict[str, Case] = {
    "first": _first,
    "no change": _again,
    "all change": _newer,
    "1 in 10 drained": _emptied,
}


def measure(hosts: int, rounds: int) -> Iterator[float]:
    """The best of ``rounds`` for each case."""
    app, states = application(hosts), fleet(hosts)
    states = deployed(_first(app, states), states)
    for case in CASES.values():
        times = []
        for _ in range(rounds):
            begun = time.process_time()
            made = case(app, states)
            times.append(time.process_time() - begun)
            assert not made.problems, made.problems[:3]
        yield min(times)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print("  ".join(f"{title:>15}" for title in ("hosts", "containers", *CASES)))
    table = {}
    for hosts in SIZES:
        table[hosts] = list(measure(hosts, rounds))
        cells = (f"{seconds * 1000:.0f} ms" for seconds in table[hosts])
        print("  ".join(f"{cell:>15}" for cell in (str(hosts), str(hosts * EACH), *cells)), flush=True)
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB of memory")
    return _judge(table)


def _judge(table: dict[int, list[float]]) -> int:
    slow = [title for title, seconds in zip(CASES, table[AT], strict=True) if seconds > LIMIT]
    bent = [
        title
        for at, title in enumerate(CASES)
        if table[SIZES[-1]][at] / table[STEADY][at] > GROWTH * SIZES[-1] / STEADY
    ]
    for title in slow:
        print(f"{title}: more than {LIMIT:g} s for {AT} hosts")
    for title in bent:
        print(f"{title}: grows faster than the number of hosts")
    return 1 if slow or bent else 0


if __name__ == "__main__":
    sys.exit(main())
