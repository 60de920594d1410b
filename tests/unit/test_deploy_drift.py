"""What differs from what was deployed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lxcwrap.deploy.application import Mode, Network
from lxcwrap.deploy.drift import Difference, Kind, drift
from lxcwrap.deploy.observation import APP, HostState, Replica
from lxcwrap.deploy.planner import places
from lxcwrap.deploy.render import drift_lines
from tests.unit.simulated_fleet import IMAGE, NEWER, application, deployed, hosts, service

APPLICATION = application(service(replicas=2, flags=("--init",)), service("agent", mode=Mode.GLOBAL))
IMAGES = {"example/web:1": IMAGE, "example/agent:1": IMAGE}


def _states() -> list[HostState]:
    return deployed(APPLICATION, hosts(2))


def _drift(states: list[HostState], known: bool = True) -> list[tuple[Kind, str, str, str]]:
    found = drift(APPLICATION, states, images=IMAGES, placed=places(_states()) if known else ())
    return [(one.kind, one.host, one.what, one.detail) for one in found]


def _first(states: list[HostState], change: Callable[[Replica], Replica]) -> list[HostState]:
    """host1's web 1 is changed."""
    first = states[0]
    return [
        replace(first, replicas=tuple(change(one) if one.service == "web" else one for one in first.replicas)),
        *states[1:],
    ]


@pytest.mark.parametrize("known", [True, False])
def test_nothing_differs_after_a_deployment(known: bool) -> None:
    assert _drift(_states(), known) == []
    assert list(drift_lines(())) == ["as it was deployed"]


@pytest.mark.parametrize(
    ("more", "kind", "detail"),
    [
        ({"state": "exited", "exit_code": 137}, Kind.STOPPED, "it is exited with 137"),
        ({"state": "paused"}, Kind.STOPPED, "it is paused"),
        ({"state": "restarting"}, Kind.STOPPED, "it is restarting"),
        ({"health": "unhealthy"}, Kind.UNHEALTHY, "its health check fails"),
        ({"spec": "x"}, Kind.CHANGED, "it was not made by a deployment of this release"),
        ({"image": NEWER}, Kind.CHANGED, "image sha256:1a1a1a1a1a1a → sha256:2b2b2b2b2b2b"),
    ],
)
def test_a_container_that_is_not_as_it_was(more: dict[str, object], kind: Kind, detail: str) -> None:
    states = _first(_states(), lambda one: replace(one, **more))  # type: ignore[arg-type]
    assert _drift(states) == [(kind, "host1", "web 1", detail)]


def test_one_that_was_made_differently() -> None:
    other = application(service(replicas=2, flags=("--privileged",)), service("agent", mode=Mode.GLOBAL))
    states = deployed(other, hosts(2))
    assert {(kind, detail) for kind, _, _, detail in _drift(states)} == {(Kind.CHANGED, "flags")}


def test_missing_and_moved_and_too_many() -> None:
    states = _states()
    lost = [replace(states[0], replicas=()), states[1]]
    assert _drift(lost) == [
        (Kind.MISSING, "host1", "agent 1", "it has no container"),
        (Kind.MISSING, "host1", "web 1", "it has no container"),
    ]
    assert _drift(lost, known=False) == [(Kind.MISSING, "", "web", "1 of 2 have no container")]
    moved = [lost[0], replace(states[1], replicas=(*states[1].replicas, *states[0].replicas))]
    assert (Kind.MOVED, "host2", "web 1", "it was on host1") in _drift(moved)
    third = replace(states[0].replicas[0], id="third", name="shop-web-3", service="web", slot=3)
    third = replace(third, spec=states[0].replicas[0].spec)
    more = [replace(states[0], replicas=(*states[0].replicas, third)), states[1]]
    assert _drift(more) == [(Kind.EXTRA, "host1", "web 3", "2 are wanted")]


@pytest.mark.parametrize(
    ("name", "service_name", "why"),
    [
        ("shop-web-1-r7", "web", "of an interrupted deployment"),
        ("shop-web-1-old-0123", "web", "it serves no slot"),
        ("shop-other-1", "other", "there is no such service"),
        ("shop-web-2", "web", "another host serves its slot"),
    ],
)
def test_containers_that_should_not_be_there(name: str, service_name: str, why: str) -> None:
    states = _states()
    slot = int(name.split("-")[2])
    extra = Replica("extra", name, service_name, slot, 0, "", IMAGE, "running", labels=((APP, "shop"),))
    states[0] = replace(states[0], replicas=(*states[0].replicas, extra))
    assert _drift(states) == [(Kind.EXTRA, "host1", name, why)]


def test_a_host_that_does_not_answer() -> None:
    states = [_states()[0], HostState("host2", problem="no route to host")]
    assert _drift(states) == [(Kind.UNKNOWN, "host2", "agent 2, web 2", "it does not answer: no route to host")]
    assert _drift(states, known=False)[0][2] == "what it has"


def test_a_network_that_was_removed() -> None:
    app = application(service(networks=(("front", ()),)), networks=(Network("front", "front"),))
    states = [replace(state, networks=()) for state in deployed(app, hosts(1))]
    (found,) = drift(app, states)
    assert (found.kind, found.host, found.what) == (Kind.MISSING, "host1", "network front")


def test_differences_for_people_and_programs() -> None:
    found = (
        Difference(Kind.STOPPED, "host1", "web 1", "it is exited with 1"),
        Difference(Kind.MISSING, "host2", "network front"),
    )
    assert list(drift_lines(found)) == [
        "~ web 1          stopped  host1",
        "      it is exited with 1",
        "- network front  missing  host2",
        "2 differences",
    ]
    assert [Difference.from_json(one.to_json()) for one in found] == list(found)
