"""Containers that nothing wants any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from lxcwrap.deploy.application import Application, PublishedPort, Service
from lxcwrap.deploy.plan import Leftover
from lxcwrap.deploy.present import Found, Present


def leftovers(
    application: Application,
    present: Present,
    used: Collection[str],
    concerned: Callable[[str], bool],
    previous: Application | None,
) -> Iterator[Leftover]:
    """Those that serve nothing, then those that do.  ``used`` are IDs of incoming ones that a change goes on with."""
    known = {service.name for service in application.services}
    for founds in present.coming.values():
        for found in founds:
            if found.replica.id not in used and concerned(found.replica.service):
                yield _leftover(found, "of an interrupted deployment")
    for found in present.others:
        if concerned(found.replica.service):
            yield _leftover(found, "it has been replaced" if found.replica.service in known else "it has no slot")
    for found in present.doubles:
        if found.replica.service in known and concerned(found.replica.service):
            yield _leftover(found, "another host serves its slot", serves=True)
    taken = _taken(application, previous)
    for found in _gone(present, known, previous):
        name = found.replica.service
        if concerned(name):
            reason = f"there is no service {name} any more"
            yield _leftover(found, reason + taken.get(name, ""), serves=name not in taken)


def _gone(present: Present, known: Collection[str], previous: Application | None) -> Iterator[Found]:
    """Of services that are gone: in the reverse of the order in which they were started."""
    turns = {service.name: -turn for turn, service in enumerate(previous.services)} if previous else {}
    for name in sorted(present.serving, key=lambda name: (turns.get(name, 1), name)):
        if name not in known:
            yield from (found for _, found in sorted(present.serving[name].items()))
            yield from (found for found in present.doubles if found.replica.service == name)


def _taken(application: Application, previous: Application | None) -> dict[str, str]:
    """Services that are gone and whose published ports others want: they have to make place first."""
    wanted = {(port.host_port, port.protocol): service.name for service, port in _published(application)}
    known = {service.name for service in application.services}
    taken = {}
    for service, port in _published(previous) if previous else ():
        name = wanted.get((port.host_port, port.protocol))
        if name and service.name not in known:
            taken[service.name] = f", and {name} wants its port {port.host_port}/{port.protocol}"
    return taken


def _published(application: Application) -> Iterator[tuple[Service, PublishedPort]]:
    for service in application.services:
        yield from ((service, port) for port in service.ports if port.host_port)


def _leftover(found: Found, reason: str, serves: bool = False) -> Leftover:
    return Leftover(found.host.name, found.replica.id, found.replica.name, reason, serves)
