"""Which host each slot is on: constraints, room, spreading, and staying where it is."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from lxcwrap.deploy.application import Application, Mode, Placement, PublishedPort, Service, Volume
from lxcwrap.deploy.constraints import fact, parse, preference
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.plan import Action
from lxcwrap.deploy.planner import Options, plan
from lxcwrap.deploy.spread import rank
from lxcwrap.errors import UsageError
from tests.unit.simulated_fleet import application, apply, counts, deployed, hosts, service, where, with_images

HOST = HostState("web1", labels=(("zone", "a"), ("role", "manager"), ("Disk", "SSD")), architecture="x86_64")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("node.labels.zone==a", ""),
        ("node.labels.zone == A", ""),
        ("node.labels.zone!=a", "node.labels.zone is a"),
        ("node.labels.zone==b", "node.labels.zone is a"),
        ("node.labels.Disk==ssd", ""),
        ("node.labels.disk==ssd", "it has no node.labels.disk"),
        ("node.labels.none!=b", ""),
        ("engine.labels.zone==a", ""),
        ("NODE.HOSTNAME==web1", ""),
        ("node.id!=web1", "node.id is web1"),
        ("node.role==manager", ""),
        ("node.platform.os==linux", ""),
        ("node.platform.arch==amd64", ""),
        ("node.platform.arch!=x86_64", "node.platform.arch is x86_64"),
        ("node.platform.arch==aarch64", "node.platform.arch is x86_64"),
    ],
)
def test_constraints(text: str, refusal: str) -> None:
    assert parse(text).refuses(HOST) == refusal


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("node.labels.zone=a", "placement constraint 'node.labels.zone=a' is not KEY==VALUE or KEY!=VALUE", "node.lab"),
        ("node.labels.zone==", "is not KEY==VALUE", "for example"),
        ("", "is not KEY==VALUE", "for example"),
        ("node.hostnam==a", "unknown key node.hostnam", "did you mean node.hostname?"),
        ("node.labels.==a", "unknown key node.labels.", "did you mean node.labels.?"),
        ("zone==a", "unknown key zone", "known: node.id"),
    ],
)
def test_what_is_no_constraint(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in caught.value.message and hint in caught.value.hint


def test_preferences_are_labels() -> None:
    assert preference("zone") == preference("node.labels.zone") == "node.labels.zone"
    assert fact(preference("node.hostname"), HOST) == "web1"
    with pytest.raises(UsageError):
        preference("node.zone")


def test_a_host_without_the_role_is_a_worker() -> None:
    assert parse("node.role==manager").refuses(HostState("web2")) == "node.role is worker"


def _port(number: int, protocol: str = "tcp", address: str = "") -> PublishedPort:
    return PublishedPort(8080, number, protocol, address)


def _zones(count: int, zones: str) -> list[HostState]:
    return [replace(host, labels=(("zone", zone),)) for host, zone in zip(hosts(count), zones * count, strict=False)]


def _why(app: Application, states: list[HostState]) -> str:
    (problem,) = plan(app, with_images(app, states), release=1).problems
    return problem


# Where there is no host


@pytest.mark.parametrize(
    ("more", "host", "why"),
    [
        ({}, {"drained": True}, "it is drained"),
        ({"placement": Placement(constraints=("node.labels.zone==a",))}, {}, "it has no node.labels.zone"),
        ({"reserved_cpus": 2}, {"cpus": 2, "reserved_cpus": 0.5}, "1.5 CPUs are left, 2 to be reserved"),
        ({"reserved_memory": 2**30}, {"memory": 2**29}, "512MiB of memory are left, 1GiB to be reserved"),
    ],
)
def test_why_no_host_will_do(more: dict[str, object], host: dict[str, object], why: str) -> None:
    assert _why(application(service(**more)), hosts(1, **host)) == f"no host for web 1: host1: {why}"


def test_hosts_with_the_same_reason_are_named_together() -> None:
    app = application(service(replicas=7, placement=Placement(constraints=("node.labels.zone==a",))))
    text = _why(app, hosts(9))
    assert text == "no host for web 1, 2, 3, …: host1, host2, host3 and 6 more: it has no node.labels.zone"


def test_without_hosts() -> None:
    assert plan(application(service()), [], release=1).problems == ("no host for web 1: there is no host",)


def test_capacity_that_is_not_told_is_boundless() -> None:
    app = application(service(reserved_cpus=64, reserved_memory=2**50))
    assert not plan(app, with_images(app, hosts(1)), release=1).problems


def test_reservations_fill_hosts_up() -> None:
    app = application(service(replicas=5, reserved_cpus=0.1), service("db", reserved_cpus=0.2))
    states = [replace(host, cpus=0.3 + number / 10) for number, host in enumerate(hosts(2))]
    after = deployed(app, states)
    assert counts(after) == [3, 2] and counts(after, "db") == [0, 1]


# Ports


def test_two_containers_with_a_port_are_on_two_hosts() -> None:
    app = application(service(replicas=2, ports=(_port(80),)), service("api", ports=(_port(80),)))
    after = deployed(app, hosts(3))
    assert counts(after) == [1, 1, 0] and counts(after, "api") == [0, 0, 1]
    assert "port 80/tcp is taken by web" in _why(app, hosts(2))


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        (_port(80), _port(81), True),
        (_port(80), _port(80, "udp"), True),
        (_port(0), _port(0), True),
        (_port(80, address="10.0.0.1"), _port(80, address="10.0.0.2"), True),
        (_port(80, address="10.0.0.1"), _port(80, address="10.0.0.1"), False),
        (_port(80, address="10.0.0.1"), _port(80, address="0.0.0.0"), False),
        (_port(80, address="10.0.0.1"), _port(80), False),
    ],
)
def test_ports_on_one_host(one: PublishedPort, other: PublishedPort, fit: bool) -> None:
    app = application(service(ports=(one,)), service("api", ports=(other,)))
    assert bool(plan(app, with_images(app, hosts(1)), release=1).problems) is not fit


# Spreading


def test_containers_spread_over_hosts_and_services_over_what_is_left() -> None:
    app = application(service(replicas=4), service("api", replicas=2), service("db"))
    after = deployed(app, hosts(3))
    assert counts(after) == [2, 1, 1]
    assert sum(counts(after, "api")[1:]) == 2
    assert [len(host.replicas) for host in after] == [3, 2, 2]


def test_containers_spread_over_a_preference_first() -> None:
    app = application(service(replicas=6, placement=Placement(preferences=("zone",))))
    after = deployed(app, _zones(4, "aaab"))
    assert counts(after) == [1, 1, 1, 3]


def test_preferences_are_nested() -> None:
    app = application(service(replicas=8, placement=Placement(preferences=("zone", "node.labels.rack"))))
    labels = ["a1", "a1", "a2", "b1"]
    states = [
        replace(host, labels=(("zone", label[0]), ("rack", label[1])))
        for host, label in zip(hosts(4), labels, strict=True)
    ]
    assert counts(deployed(app, states)) == [1, 1, 2, 4]


def test_a_preference_gives_way_where_there_is_no_room() -> None:
    app = application(service(replicas=4, placement=Placement(preferences=("zone",), max_replicas_per_host=1)))
    assert counts(deployed(app, _zones(4, "aaab"))) == [1, 1, 1, 1]


def test_no_more_on_a_host_than_allowed() -> None:
    app = application(service(replicas=5, placement=Placement(max_replicas_per_host=2)))
    assert counts(deployed(app, hosts(3))) == [2, 2, 1]
    assert _why(app, hosts(2)) == "no host for web 5: host1, host2: it has 2 of web, the most for one host"


def test_one_on_each_host_that_qualifies() -> None:
    agent = service(mode=Mode.GLOBAL, placement=Placement(constraints=("node.labels.zone==a",)))
    states = deployed(application(agent), _zones(4, "ab"))
    assert where(states) == {1: "host1", 2: "host3"}
    more = [*states, HostState("host0", labels=(("zone", "a"),), images=states[0].images)]
    after = deployed(application(agent), more, release=2)
    assert where(after) == {1: "host1", 2: "host3", 3: "host0"}
    relabelled = [replace(after[0], labels=()), *after[1:]]
    made = plan(application(agent), relabelled, release=3)
    assert [(one.action, one.host, one.reasons) for one in made.changes] == [
        (Action.REMOVE, "host1", ("it has no node.labels.zone",))
    ]
    last = apply(made, relabelled)
    assert where(deployed(application(agent), _zones_back(last), release=4))[1] == "host1"


def _zones_back(states: list[HostState]) -> list[HostState]:
    return [replace(states[0], labels=(("zone", "a"),)), *states[1:]]


# Staying


def test_a_host_that_joins_moves_nothing() -> None:
    app = application(service(replicas=6))
    states = deployed(app, hosts(2))
    joined = [*states, *with_images(app, [HostState("host0"), HostState("host9")])]
    assert plan(app, joined, release=2).is_empty
    more = application(service(replicas=8))
    assert counts(deployed(more, joined, release=2)) == [3, 3, 1, 1]


def test_a_host_that_is_drained_gives_away_only_its_own() -> None:
    app = application(service(replicas=9))
    states = deployed(app, hosts(3))
    made = plan(app, states, release=2, options=Options(drained=("host2",)))
    assert {change.from_host for change in made.changes} == {"host2"}
    assert {change.reasons[0] for change in made.changes} == {"host host2: it is drained"}
    assert sorted(counts(apply(made, states))) == [0, 4, 5]


def test_what_has_outgrown_its_host_moves_highest_slot_first() -> None:
    app = application(service(replicas=2, reserved_memory=10))
    states = deployed(app, hosts(1, memory=30))
    bigger = application(service(replicas=2, reserved_memory=20))
    joined = [*states, *with_images(app, [HostState("host2", memory=30)])]
    made = plan(bigger, joined, release=2)
    assert [(one.action, one.slot, one.reasons) for one in made.changes] == [
        (Action.MOVE, 2, ("host host1: 10B of memory are left, 20B to be reserved",))
    ]


def test_what_is_there_has_its_room_before_anything_new() -> None:
    states = deployed(application(service("db", reserved_memory=20)), hosts(1, memory=30))
    app = application(service("aaa", reserved_memory=20), service("db", reserved_memory=20))
    made = plan(app, with_images(app, states), release=2)
    assert made.kept == 1 and made.problems[0].startswith("no host for aaa 1:")


def test_what_finds_no_host_stays_where_it_is() -> None:
    app = application(service(replicas=2))
    states = deployed(app, hosts(1))
    made = plan(app, states, release=2, options=Options(drained=("host1",)))
    assert not made.changes
    assert made.problems == ("no host for web 1, 2: host1: it is drained",)


# Fewer


def test_fewer_containers_leave_crowded_hosts_first() -> None:
    app = application(service(replicas=2))
    states = deployed(app, hosts(1))
    more = deployed(application(service(replicas=4)), [*states, *with_images(app, [HostState("host2")])], release=2)
    assert where(more) == {1: "host1", 2: "host1", 3: "host2", 4: "host2"}
    after = deployed(application(service(replicas=2)), more, release=3)
    assert where(after) == {1: "host1", 3: "host2"}
    assert where(deployed(application(service(replicas=3)), after, release=4)) == {1: "host1", 2: "host1", 3: "host2"}


def test_fewer_containers_leave_hosts_that_do_not_qualify_first() -> None:
    states = deployed(application(service(replicas=4)), hosts(2))
    states[0] = replace(states[0], drained=True)
    made = plan(application(service(replicas=2)), states, release=2)
    assert [(one.action, one.host, one.slot) for one in made.changes] == [
        (Action.REMOVE, "host1", 3),
        (Action.REMOVE, "host1", 1),
    ]


def test_none_at_all() -> None:
    states = deployed(application(service(replicas=3)), hosts(2))
    assert counts(deployed(application(service(replicas=0)), states, release=2)) == [0, 0]


def test_the_last_in_rank_is_surplus_of_the_fullest_zone() -> None:
    a1, a2, b = (replace(host, labels=(("zone", zone),)) for host, zone in zip(hosts(3), "aab", strict=True))
    slots = {1: a1, 2: a1, 3: a2, 4: b, 5: b}
    assert rank(slots, ("node.labels.zone",)) == [1, 4, 3, 5, 2]
    assert rank(slots, ()) == [1, 3, 4, 2, 5]


# Volumes


def test_new_containers_go_one_each_to_hosts_that_have_the_volume() -> None:
    one = service("db", replicas=3, volumes=("data",))
    app = application(one, volumes=(Volume("data", "data"),))
    states = [replace(host, volumes=("data",) if host.name in ("host3", "host4") else ()) for host in hosts(4)]
    assert counts(deployed(app, states), "db") == [1, 0, 1, 1]


@pytest.mark.parametrize("words", [("--opt", "type=nfs"), ("--opt=type=nfs",), ("-o", "type=tmpfs,o=size=1m")])
def test_a_volume_that_is_not_on_the_host_holds_nobody(words: tuple[str, ...]) -> None:
    app = application(service("db", volumes=("data",)), volumes=(Volume("data", "data", words=words),))
    states = deployed(app, hosts(2))
    assert not plan(app, states, release=2, options=Options(drained=("host1",))).problems


def test_a_volume_that_is_only_read_is_made_as_well() -> None:
    one = service(flags=("--mount=type=volume,source=data,target=/data,readonly",))
    app = application(one, volumes=(Volume("data", "data"), Volume("other", "other")))
    items = plan(app, with_images(app, hosts(1)), release=1).items
    assert [(item.kind, item.name) for item in items] == [("volume", "data")]


# At random


@pytest.mark.parametrize("seed", range(40))
def test_spread_is_even_and_the_same_again(seed: int) -> None:
    chance = random.Random(seed)
    services = [service(f"s{number}", replicas=chance.randint(0, 12)) for number in range(chance.randint(1, 5))]
    states = hosts(chance.randint(1, 7))
    after = deployed(application(*services), states)
    for one in services:
        found = counts(after, one.name)
        assert sum(found) == one.replicas and max(found) - min(found) <= 1
    chance.shuffle(states)
    again = {host.name: host.replicas for host in deployed(application(*services), states)}
    assert again == {host.name: host.replicas for host in after}


@pytest.mark.parametrize("seed", range(40))
def test_zones_are_even_whatever_came_and_went(seed: int) -> None:
    chance = random.Random(seed)
    states = _zones(chance.randint(2, 9), "abc")
    for release in range(1, 8):
        app = application(service(replicas=chance.randint(0, 20), placement=Placement(preferences=("zone",))))
        states = with_images(app, states)
        before = where(states)
        after = deployed(app, states, release=release)
        now = where(after)
        assert all(now[slot] == host for slot, host in before.items() if slot in now)
        zone = {host.name: dict(host.labels)["zone"] for host in after}
        found = Counter(zone[host] for host in now.values())
        sizes = [found[name] for name in set(zone.values())]
        assert max(sizes) - min(sizes) <= 1
        states = after


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_ever_overfull(seed: int) -> None:
    chance = random.Random(seed)
    states = [
        replace(
            host, cpus=chance.randint(1, 8), memory=chance.randint(100, 900), reserved_memory=chance.randint(0, 100)
        )
        for host in hosts(chance.randint(1, 6))
    ]
    needs = [
        Service(
            f"s{number}", f"example/s{number}:1", replicas=chance.randint(0, 6),
            reserved_cpus=chance.choice([0, 0.5, 1.5]), reserved_memory=chance.randint(0, 200),
            ports=chance.choice([(), (_port(80),), (_port(81),)]),
        )
        for number in range(4)
    ]  # fmt: skip
    app = application(*needs)
    after = deployed(app, states)
    for host in after:
        here = [one for one in needs for replica in host.replicas if replica.service == one.name]
        assert sum(one.reserved_cpus for one in here) <= host.cpus
        assert sum(one.reserved_memory for one in here) <= host.memory - host.reserved_memory
        ports = [port.host_port for one in here for port in one.ports]
        assert len(ports) == len(set(ports))
    assert plan(app, after, release=2).is_empty
