"""What a deployment would do, and what differs from the last one: looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lxcwrap.deploy import contents, images, planner, release
from lxcwrap.deploy.deployment import Wish, images_of
from lxcwrap.deploy.drift import Difference
from lxcwrap.deploy.drift import drift as compare
from lxcwrap.deploy.fleet import observe
from lxcwrap.deploy.host import Host
from lxcwrap.deploy.plan import Plan
from lxcwrap.deploy.release import Release
from lxcwrap.errors import NotFound


def plan(hosts: Sequence[Host], here: Host | None, wish: Wish) -> Plan:
    """Raises HostFailed."""
    application = wish.application
    known = (
        {} if not here else {one.image: images.identity(here, one.image) for one in application.services if one.build}
    )
    known = {reference: identity for reference, identity in known.items() if identity}
    states = observe(hosts, application)
    answering = [host for host, state in zip(hosts, states, strict=True) if not state.problem]
    found, _ = release.records_where_possible(answering, application.name)
    number = max((one.release.number for one in found), default=0) + 1
    try:
        previous = release.wanted(found, application.name).application
    except NotFound:
        previous = None
    places = found[-1].release.places if found else ()
    options = replace(wish.options, previous=previous, placed=places)
    first = planner.plan(application, states, release=number, images=known, options=options)
    needs = contents.needed(application, first, states)
    if not any(needs.values()):
        return first
    given = contents.read_all((*application.secrets, *application.configs))
    versions = contents.put(answering, application, needs, given, check=True)
    states = tuple(contents.with_versions(state, versions.get(state.name, {})) for state in states)
    return planner.plan(application, states, release=number, images=known, options=options)


def drift(hosts: Sequence[Host], last: Release) -> tuple[Difference, ...]:
    """What differs from the release."""
    states = observe(hosts, last.application)
    return compare(last.application, states, images=images_of(last), placed=last.places)
