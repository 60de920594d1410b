"""Plans, seen from what they make of simulated hosts."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from lxcwrap.deploy.application import (
    Application,
    Content,
    ContentUse,
    Mode,
    Network,
    Order,
    Placement,
    PublishedPort,
    Service,
    Source,
    Update,
    Volume,
)
from lxcwrap.deploy.observation import HostState, Replica
from lxcwrap.deploy.plan import Action, Plan
from lxcwrap.deploy.planner import Options, Unreachable, down, drain, places, plan
from lxcwrap.errors import UsageError
from tests.unit.simulated_fleet import (
    IMAGE,
    NEWER,
    application,
    apply,
    container,
    counts,
    deployed,
    hosts,
    service,
    where,
    with_images,
)


def test_after_a_plan_has_been_carried_out_nothing_is_left_to_do() -> None:
    app = application(service(replicas=5), service("db"), service("agent", mode=Mode.GLOBAL))
    states = deployed(app, hosts(3))
    assert counts(states) == [2, 2, 1]
    assert counts(states, "agent") == [1, 1, 1]
    again = plan(app, states, release=2)
    assert again.is_empty and again.kept == 9 and not again.problems


def test_a_plan_survives_json() -> None:
    app = application(service(replicas=3))
    made = plan(app, deployed(app, hosts(2))[:1], release=2)
    assert Plan.from_json(made.to_json()) == made


def test_a_changed_service_is_replaced_where_it_is() -> None:
    app = application(service(replicas=3, flags=("--env=A=1",)), service("db"))
    states = deployed(app, hosts(3))
    newer = application(service(replicas=3, flags=("--env=A=2",)), service("db"))
    made = plan(newer, states, release=2, options=Options(previous=app))
    assert [(change.action, change.service) for change in made.changes] == [(Action.REPLACE, "web")] * 3
    assert {change.reasons for change in made.changes} == {("flags: --env A=1 → A=2",)}
    assert made.kept == 1
    assert where(apply(made, states)) == where(states)


def test_an_image_of_which_the_host_has_a_newer_one_replaces() -> None:
    app = application(service())
    states = with_images(app, deployed(app, hosts(1)), NEWER)
    (change,) = plan(app, states, release=2).changes
    assert change.reasons == ("image sha256:1a1a1a1a1a1a → sha256:2b2b2b2b2b2b",)


def test_a_given_image_is_wanted_whatever_the_host_has() -> None:
    app = application(service())
    states = deployed(app, hosts(1))
    made = plan(app, states, release=2, images={"example/web:1": NEWER})
    assert [(item.kind, item.name) for item in made.items] == [("image", "example/web:1")]
    assert made.changes[0].spec
    assert plan(app, states, release=2, images={"example/web:1": IMAGE}).is_empty


def test_an_image_that_is_missing_leaves_the_digest_open() -> None:
    app = application(service())
    made = plan(app, hosts(1), release=1)
    assert made.items[0].kind == "image"
    assert made.changes[0].spec == ""


def test_services_are_changed_in_order_and_removed_in_reverse() -> None:
    app = application(service("db", replicas=2), service("web", replicas=2), service("proxy", replicas=2))
    states = deployed(app, hosts(2))
    fewer = application(service("db"), service("web", flags=("--init",)), service("proxy"))
    made = plan(fewer, states, release=2)
    assert [(change.action.value, change.service) for change in made.changes] == [
        ("replace", "web"),
        ("remove", "proxy"),
        ("remove", "web"),
        ("remove", "db"),
    ]


def test_a_stopped_container_that_is_as_wanted_is_started() -> None:
    app = application(service())
    (state,) = deployed(app, hosts(1))
    state = replace(state, replicas=(replace(state.replicas[0], state="exited", exit_code=3),))
    (change,) = plan(app, [state], release=2).changes
    assert (change.action, change.reasons) == (Action.START, ("it is exited with 3",))


@pytest.mark.parametrize(("code", "left"), [(0, 0), (1, 1)])
def test_what_runs_once_is_not_run_again_unless_it_failed(code: int, left: int) -> None:
    app = application(service(runs_once=True))
    (state,) = deployed(app, hosts(1))
    state = replace(state, replicas=(replace(state.replicas[0], state="exited", exit_code=code),))
    assert len(plan(app, [state], release=2).changes) == left


def test_a_service_that_is_gone_is_removed_after_the_changes() -> None:
    app = application(service(), service("old"))
    states = deployed(app, hosts(2))
    (leftover,) = plan(application(service()), states, release=2).leftovers
    assert (leftover.name, leftover.serves) == ("shop-old-1", True)


def test_a_service_that_is_gone_goes_first_if_its_port_is_wanted() -> None:
    port = _port(80)
    app = application(service("old", ports=(port,)))
    states = deployed(app, hosts(1))
    made = plan(application(service(ports=(port,))), states, release=2, options=Options(previous=app))
    assert not made.leftovers[0].serves
    assert "web wants its port 80/tcp" in made.leftovers[0].reason


def _port(number: int) -> PublishedPort:
    return PublishedPort(8080, number)


def test_down_removes_everything_and_dependants_first() -> None:
    app = application(service("db"), service("web", replicas=2))
    states = deployed(app, hosts(2))
    made = down(app, states)
    assert [leftover.name for leftover in made.leftovers] == ["shop-web-1", "shop-web-2", "shop-db-1"]
    assert not made.items and not made.changes
    assert all(not state.replicas for state in apply(made, states))


def test_only_some_services() -> None:
    app = application(service(), service("db"), service("old"))
    states = deployed(app, hosts(1))
    newer = application(service(flags=("--init",)), service("db", flags=("--init",)))
    made = plan(newer, states, release=2, options=Options(only=("db",)))
    assert [change.service for change in made.changes] == ["db"]
    assert not made.leftovers
    with pytest.raises(UsageError, match="no such service: dbb") as caught:
        plan(newer, states, release=2, options=Options(only=("dbb",)))
    assert caught.value.hint == "did you mean db?"


def test_services_that_are_not_planned_keep_their_room() -> None:
    app = application(service(reserved_memory=60), service("db", reserved_memory=60))
    states = deployed(application(service(reserved_memory=60)), with_images(app, hosts(1, memory=100)))
    made = plan(app, states, release=2, options=Options(only=("db",)))
    assert "no host for db 1: host1: 40B of memory are left, 60B to be reserved" in made.problems


def test_everything_can_be_made_anew() -> None:
    app = application(service(replicas=2))
    made = plan(app, deployed(app, hosts(1)), release=2, options=Options(recreate=True))
    assert [(change.action, change.reasons) for change in made.changes] == [
        (Action.REPLACE, ("asked to be made anew",))
    ] * 2


# What hosts lack


def test_what_hosts_lack_is_made_where_it_is_needed() -> None:
    app = application(
        service(networks=(("front", ()), ("host", ())), secrets=(ContentUse("key", "/run/secrets/key"),)),
        service("db", volumes=("data",)),
        networks=(Network("front", "front"),),
        volumes=(Volume("data", "data"),),
        secrets=(Content("key", "shop_key", Source.FILE, "key.txt"),),
    )
    states = with_images(app, hosts(2))
    made = plan(app, states, release=1)
    assert [(item.kind, item.host, item.name) for item in made.items] == [
        ("network", "host1", "front"),
        ("secret", "host1", "shop_key"),
        ("volume", "host2", "data"),
    ]
    ready = apply(Plan("shop", 1, items=made.items), states)
    assert not plan(app, ready, release=1).items


def test_what_is_external_has_to_be_there() -> None:
    app = application(
        service(volumes=("data",), secrets=(ContentUse("key", "/key"),)),
        volumes=(Volume("data", "data", external=True),),
        secrets=(Content("key", "key", Source.EXTERNAL),),
    )
    made = plan(app, with_images(app, hosts(1)), release=1)
    assert made.problems == (
        "volume data is external, and host1 does not have it",
        "secret key is external, and host1 does not have it",
    )


def test_a_new_version_of_a_secret_replaces() -> None:
    app = application(
        service(secrets=(ContentUse("key", "/key"),)), secrets=(Content("key", "shop_key", Source.FILE, "key.txt"),)
    )
    before = [replace(state, secrets=(("shop_key", "v1"),)) for state in with_images(app, hosts(1))]
    states = [replace(state, secrets=(("shop_key", "v2"),)) for state in deployed(app, before)]
    (change,) = plan(app, states, release=2).changes
    assert change.reasons == ("secret key changed",)


# Interruptions


def _interrupted(app: Application, newer: Application, states: list[HostState], **more: object) -> list[HostState]:
    """One container of release 2 has been made and has not taken over."""
    change = plan(newer, states, release=2).changes[0]
    coming = replace(container("shop", change, 2, states[0], incoming=True), **more)  # type: ignore[arg-type]
    return [
        replace(state, replicas=(*state.replicas, coming)) if state.name == change.host else state for state in states
    ]


def test_an_interrupted_deployment_is_gone_on_with() -> None:
    app, newer = application(service(replicas=2)), application(service(replicas=2, flags=("--init",)))
    states = _interrupted(app, newer, deployed(app, hosts(2)))
    made = plan(newer, states, release=3)
    assert [change.incoming for change in made.changes] == ["host1-web-1-2-coming", ""]
    assert not made.leftovers
    assert plan(newer, apply(made, states), release=4).is_empty


@pytest.mark.parametrize("more", [{"health": "unhealthy"}, {"state": "exited", "exit_code": 1}, {"spec": "other"}])
def test_what_failed_or_is_not_as_wanted_is_removed(more: dict[str, object]) -> None:
    app, newer = application(service(replicas=2)), application(service(replicas=2, flags=("--init",)))
    states = _interrupted(app, newer, deployed(app, hosts(2)), **more)
    made = plan(newer, states, release=3)
    assert [change.incoming for change in made.changes] == ["", ""]
    assert [(leftover.name, leftover.serves) for leftover in made.leftovers] == [("shop-web-1-r2", False)]


def test_going_back_to_what_is_there_removes_what_was_coming() -> None:
    app, newer = application(service(replicas=2)), application(service(replicas=2, flags=("--init",)))
    states = _interrupted(app, newer, deployed(app, hosts(2)))
    made = plan(app, states, release=3)
    assert not made.changes and len(made.leftovers) == 1


def test_a_first_deployment_goes_on_on_the_host_where_it_had_begun() -> None:
    app = application(service())
    states = with_images(app, hosts(3))
    change = replace(plan(app, states, release=1).changes[0], host="host3")
    coming = container("shop", change, 1, states[2], incoming=True)
    states[2] = replace(states[2], replicas=(coming,))
    (found,) = plan(app, states, release=2).changes
    assert (found.action, found.host, found.incoming) == (Action.CREATE, "host3", coming.id)


def test_one_that_has_been_replaced_and_not_yet_removed_is_a_leftover() -> None:
    app = application(service())
    (state,) = deployed(app, hosts(1))
    old = replace(state.replicas[0], id="old", name="shop-web-1-old-0123456789ab", spec="older")
    made = plan(app, [replace(state, replicas=(old, *state.replicas))], release=2)
    assert not made.changes
    assert [(leftover.container, leftover.reason) for leftover in made.leftovers] == [("old", "it has been replaced")]


def test_a_move_that_was_interrupted_after_it_took_over_ends() -> None:
    app = application(service(replicas=2))
    states = deployed(app, hosts(3))
    states[0] = replace(states[0], drained=True)
    moved = apply(plan(app, states, release=2), states)
    both = [replace(moved[0], replicas=states[0].replicas), *moved[1:]]
    made = plan(app, both, release=3)
    assert not made.changes and [leftover.host for leftover in made.leftovers] == ["host1"]
    assert plan(app, apply(made, both), release=4).is_empty


# Order


@pytest.mark.parametrize(
    ("more", "order"),
    [
        ({}, Order.START_FIRST),
        ({"ports": "80"}, Order.START_FIRST),
        ({"volumes": ("data",)}, Order.STOP_FIRST),
        ({"volumes": ("shared",)}, Order.START_FIRST),
        ({"networks": (("front", ("--network=front", "--ip=10.0.0.9")),)}, Order.STOP_FIRST),
        ({"networks": (("front", ("--network=name=front,ip=10.0.0.9",)),)}, Order.STOP_FIRST),
        ({"networks": (("host", ("--network=host",)),)}, Order.STOP_FIRST),
        ({"volumes": ("data",), "update": Update(order=Order.START_FIRST)}, Order.START_FIRST),
        ({"update": Update(order=Order.STOP_FIRST)}, Order.STOP_FIRST),
    ],
)
def test_the_new_one_starts_first_unless_only_one_can_be(more: dict[str, object], order: Order) -> None:
    if "ports" in more:
        more["ports"] = (_port(80),)
    volumes = (Volume("data", "data"), Volume("shared", "shared", shared=True))
    app = application(service(**more), volumes=volumes)
    states = deployed(app, hosts(1))
    newer = application(service(**{**more, "flags": ("--init",)}), volumes=volumes)
    (change,) = plan(newer, states, release=2).changes
    assert change.order is order


def test_start_first_is_refused_where_it_cannot_be() -> None:
    fixed = service(networks=(("front", ("--network=front", "--ip=10.0.0.9")),), update=Update(order=Order.START_FIRST))
    made = plan(application(fixed), hosts(1), release=1)
    assert made.problems == ("web: start-first is not possible: its IP address is fixed",)


# Hosts that do not answer, hosts that are emptied, volumes


def _silent(states: list[HostState], name: str) -> list[HostState]:
    return [HostState(name, problem="no route to host") if state.name == name else state for state in states]


def test_a_silent_host_that_has_containers_is_named_and_nothing_moves() -> None:
    app = application(service(replicas=3))
    states = deployed(app, hosts(3))
    made = plan(app, _silent(states, "host2"), release=2, options=Options(placed=places(states)))
    assert made.problems == ("host2 does not answer (no route to host); it has web 2",)
    assert not made.changes


def test_a_silent_host_without_containers_is_no_problem() -> None:
    app = application(service(replicas=2))
    states = deployed(app, hosts(3))
    made = plan(app, _silent(states, "host3"), release=2, options=Options(placed=places(states)))
    assert made.is_empty and not made.problems


def test_without_a_record_any_silent_host_is_a_problem() -> None:
    app = application(service(replicas=2))
    made = plan(app, _silent(deployed(app, hosts(3)), "host3"), release=2)
    assert made.problems == ("host3 does not answer (no route to host); what it has is not known",)


@pytest.mark.parametrize("known", [True, False])
def test_a_silent_host_can_be_left_alone(known: bool) -> None:
    app, newer = application(service(replicas=3)), application(service(replicas=3, flags=("--init",)))
    states = deployed(app, hosts(3))
    options = Options(unreachable=Unreachable.LEAVE, placed=places(states) if known else ())
    made = plan(newer, _silent(states, "host2"), release=2, options=options)
    assert [(change.action, change.slot) for change in made.changes] == [(Action.REPLACE, 1), (Action.REPLACE, 3)]
    assert not made.problems


def test_what_a_silent_host_had_can_be_made_anew_elsewhere() -> None:
    app = application(service(replicas=3))
    states = deployed(app, hosts(3))
    options = Options(unreachable=Unreachable.MOVE, placed=places(states))
    silent = _silent(states, "host2")
    made = plan(app, silent, release=2, options=options)
    assert [(change.action, change.slot, change.reasons) for change in made.changes] == [
        (Action.CREATE, 2, ("host host2 does not answer",))
    ]
    back = [new if new.name != "host2" else old for new, old in zip(apply(made, silent), states, strict=True)]
    again = plan(app, back, release=3, options=options)
    assert not again.changes and [leftover.host for leftover in again.leftovers] == ["host2"]


def test_a_drained_host_is_emptied_and_only_its_containers_move() -> None:
    app = application(service(replicas=6), service("agent", mode=Mode.GLOBAL))
    states = deployed(app, hosts(3))
    made = drain(app, states, "host2", release=2)
    assert [(change.action, change.from_host or change.host) for change in made.changes] == [
        (Action.MOVE, "host2"),
        (Action.MOVE, "host2"),
        (Action.REMOVE, "host2"),
    ]
    after = apply(made, states)
    assert counts(after) == [3, 0, 3]
    assert counts(after, "agent") == [1, 0, 1]
    with pytest.raises(UsageError, match="no such host: host9"):
        drain(app, states, "host9", release=2)


def _stateful() -> Application:
    return application(service("db", volumes=("data",)), volumes=(Volume("data", "data"),))


def test_a_container_does_not_leave_its_volume_behind() -> None:
    states = deployed(_stateful(), hosts(2))
    made = drain(_stateful(), states, "host1", release=2)
    assert made.problems == ("db 1 would move from host1 to host2, away from what is in its volume data",)
    assert not drain(_stateful(), states, "host1", release=2, options=Options(leave_volumes=True)).problems
    copied = [states[0], replace(states[1], volumes=("data",))]
    assert not drain(_stateful(), copied, "host1", release=2).problems


def test_a_container_comes_back_to_its_volume() -> None:
    states = with_images(_stateful(), hosts(3))
    states[2] = replace(states[2], volumes=("data",))
    assert where(deployed(_stateful(), states), "db") == {1: "host3"}


# All of it, at random


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_a_plan_reaches_what_was_wanted_with_few_moves(seed: int) -> None:
    chance = random.Random(seed)
    states = hosts(chance.randint(1, 6))
    app = application()
    for release in range(1, 12):
        app = _mutated(app, chance)
        states = with_images(app, _disturbed(states, app, chance))
        made = plan(app, states, release=release)
        for one in app.services:
            _check_moves(made, states, one.name)
        states = apply(made, states)
        again = plan(app, states, release=release + 1)
        assert again.is_empty and again.problems == made.problems
        for one in app.services:
            _check_result(states, made, one)


def _mutated(app: Application, chance: random.Random) -> Application:
    services = {one.name: one for one in app.services}
    name = chance.choice(["web", "db", "api"])
    services[name] = service(
        name,
        replicas=chance.randint(0, 8),
        mode=chance.choice([Mode.REPLICATED, Mode.REPLICATED, Mode.GLOBAL]),
        flags=(f"--env=A={chance.randint(1, 3)}",),
        placement=Placement(
            constraints=chance.choice([(), (), ("node.labels.zone==a",), ("node.hostname!=host1",)]),
            preferences=chance.choice([(), ("node.labels.zone",)]),
            max_replicas_per_host=chance.choice([0, 0, 2]),
        ),
    )
    if chance.random() < 0.2:
        services.pop(chance.choice(list(services)))
    return application(*services.values())


def _disturbed(states: list[HostState], app: Application, chance: random.Random) -> list[HostState]:
    at = chance.randrange(len(states))
    state = states[at]
    happening = chance.choice(["drain", "label", "lose", "join", "stop", "coming"])
    if happening == "drain":
        state = replace(state, drained=not state.drained)
    elif happening == "label":
        state = replace(state, labels=(("zone", chance.choice("ab")),))
    elif happening == "lose":
        state = replace(state, replicas=state.replicas[1:])
    elif happening == "stop":
        state = replace(state, replicas=tuple(replace(one, state="exited") for one in state.replicas))
    elif happening == "coming":
        name = f"shop-web-{chance.randint(1, 9)}-r{chance.randint(1, 9)}"
        coming = Replica(name, name, "web", int(name.split("-")[2]), 1, "some", IMAGE, "running")
        state = replace(state, replicas=(*state.replicas, coming))
    else:
        states = [*states, HostState(f"host{len(states) + 1}")]
    return [*states[:at], state, *states[at + 1 :]]


def _check_moves(made: Plan, states: list[HostState], name: str) -> None:
    """Nothing leaves a host that is not drained, unless a constraint or a limit says so."""
    for change in made.changes:
        if change.service == name and change.action is Action.MOVE:
            assert any(word in change.reasons[0] for word in ("drained", "node.", "the most"))


def _check_result(states: list[HostState], made: Plan, one: Service) -> None:
    there = where(states, one.name)
    if any(f"no host for {one.name} " in problem for problem in made.problems):
        return
    drained = {state.name for state in states if state.drained}
    assert not drained & set(there.values())
    if one.mode is Mode.REPLICATED:
        assert len(there) == one.replicas
    elif not one.placement.constraints:
        assert sorted(there.values()) == sorted(state.name for state in states if not state.drained)
    most = one.placement.max_replicas_per_host
    assert one.mode is Mode.GLOBAL or not most or max(counts(states, one.name)) <= most


def test_a_thousand_hosts_and_five_thousand_containers_are_planned_in_seconds() -> None:
    """Two seconds are promised; a busy machine may take twice as long."""
    app = application(*(service(f"service{number}", replicas=100) for number in range(50)))
    states = with_images(app, hosts(1000))
    begun = time.perf_counter()
    made = plan(app, states, release=1)
    first = time.perf_counter() - begun
    states = apply(made, states)
    newer = application(*(replace(one, flags=("--init",)) for one in app.services))
    begun = time.perf_counter()
    changes = plan(newer, states, release=2).changes
    assert len(changes) == 5000
    assert max(first, time.perf_counter() - begun) < 4
