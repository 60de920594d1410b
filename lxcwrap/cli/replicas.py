"""The containers of an application on all hosts: finding them, running something in one, restarting them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lxcwrap.cli.app import App
from lxcwrap.cli.several import report
from lxcwrap.errors import LxcwrapError, NotFound, Unreachable

if TYPE_CHECKING:
    from lxcwrap.cli.deployment import Chosen
    from lxcwrap.deploy.observation import Replica


def found(app: App, name: str, services: Sequence[str] = ()) -> tuple[list[tuple[str, Replica]], int]:
    """Hosts' names and replicas, by service and slot; 1 when a host does not answer, which is named."""
    from lxcwrap.cli.deployment import chosen

    with chosen(app) as hosts:
        return on(hosts, name, services)


def on(hosts: Chosen, name: str, services: Sequence[str] = ()) -> tuple[list[tuple[str, Replica]], int]:
    from lxcwrap.deploy.application import Application
    from lxcwrap.deploy.fleet import observe

    states = observe(hosts.hosts, Application(name))
    for state in states:
        if state.problem:
            report(LxcwrapError(state.problem))
    replicas = [(state.name, one) for state in states for one in state.replicas]
    known = {one.service for _, one in replicas}
    for service in services:
        if service not in known:
            raise NotFound(f"{name} has no containers of a service {service!r:.60}", hint="lxcwrap app ps shows them")
    wanted = [pair for pair in replicas if not services or pair[1].service in services]
    return sorted(wanted, key=lambda pair: (pair[1].service, pair[1].slot, pair[1].name)), int(
        any(state.problem for state in states)
    )


def run_in(app: App, name: str, service: str, slot: int, flags: Sequence[str], words: Sequence[str]) -> int:
    """``exec`` in a replica of the service: the one of that slot, or the first (0)."""
    from lxcwrap.cli.deployment import chosen

    with chosen(app) as hosts:
        running = [pair for pair in on(hosts, name, [service])[0] if pair[1].serves and pair[1].state == "running"]
        local = hosts.here in hosts.hosts
    fitting = [pair for pair in running if not slot or pair[1].slot == slot]
    if not fitting:
        what = f"{service}-{slot}" if slot else service
        raise NotFound(f"no container of {what} runs", hint="lxcwrap app ps shows them")
    host, replica = fitting[0]
    line = ["exec", *flags, replica.id, *words]
    if local:
        from lxcwrap.actions.engines.local import environment, program

        argv = [*program(), "--root", app.paths.root, *line]
        sys.stdout.flush()
        os.execve(argv[0], argv, environment())
    from lxcwrap.cli import far

    return far.run([*app.given, "-H", host, *line], host)


def restart(app: App, name: str, services: Sequence[str]) -> int:
    """One after the other.  Raises Locked; HostFailed for the first that does not get healthy."""
    from lxcwrap.cli.deployment import Lines, chosen, host_of, interruptible, who
    from lxcwrap.deploy import release
    from lxcwrap.deploy.deployment import PATIENCE
    from lxcwrap.deploy.host import run
    from lxcwrap.deploy.locks import held
    from lxcwrap.deploy.slot import Slots

    with chosen(app) as hosts, interruptible(hosts) as stopping:
        say = Lines([host.name for host in hosts.hosts])
        replicas, silent = on(hosts, name, services)
        if silent:
            raise Unreachable("not all hosts answer: nothing was restarted")
        records = release.all_records(hosts.hosts, name)
        application = release.wanted(records, name).application
        slots = Slots(application, 0, {host.name: host for host in hosts.hosts}, {}, say, PATIENCE)
        with held(hosts.hosts, name, who(), "app restart") as locks:
            for where, one in replicas:
                service = application.service(one.service)
                if not one.serves or not service or service.runs_once:
                    continue
                if stopping.is_set():
                    return 130
                locks.check()
                host = host_of(hosts, where)
                run(host, "restart", "-t", str(int(service.stop_grace)), one.id, timeout=service.stop_grace + 60)
                slots.healthy(host, one.id, service)
                say(where, f"{one.service}-{one.slot}", "restarted")
    return 0
