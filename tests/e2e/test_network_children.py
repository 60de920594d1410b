"""macvlan and ipvlan: containers with addresses of their own where an interface of the host is, with real traffic."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.conftest import Cli
from tests.e2e.test_own_networks import looked_up, resolvers
from tests.e2e.traffic import DATAGRAM, STREAM, Machine, answering, ask, eventually, inside, machine, run


@pytest.fixture
def lan() -> Iterator[Machine]:
    """A machine at the other end of the host's interface, in the subnet that containers get addresses of."""
    with machine() as made:
        run("ip", "address", "flush", "dev", made.link)
        run("ip", "-n", made.name, "address", "add", "192.0.2.1/24", "dev", "eth0")
        run("ip", "-n", made.name, "address", "add", "fd5c::1/64", "dev", "eth0", "nodad")
        yield made


@pytest.fixture(autouse=True)
def cleared(cli: Cli, lan: Machine) -> Iterator[None]:
    """Containers and networks are gone afterwards, before the interface is."""
    yield
    ids = cli("ps", "-aq").out.split()
    if ids:
        cli("rm", "-f", *ids)
    cli("network", "prune", "-f")
    assert resolvers(cli, "resolvers") == []


def create(cli: Cli, lan: Machine, driver: str, *words: str) -> None:
    cli("network", "create", "-d", driver, "-o", f"parent={lan.link}", "--subnet", "192.0.2.0/24", "--ipv6",
        "--subnet", "fd5c::/64", "--ip-range", "192.0.2.16/28", *words, "lan")  # fmt: skip


def has_ipvlan() -> bool:
    run("ip", "link", "add", "lxt-parent", "type", "veth", "peer", "name", "lxt-peer")
    try:
        return not os.system("ip link add link lxt-parent name lxt-child type ipvlan 2>/dev/null")
    finally:
        run("ip", "link", "delete", "lxt-parent")


def test_a_container_is_a_machine_of_the_lan(cli: Cli, busybox: str, lan: Machine) -> None:
    create(cli, lan, "macvlan")
    cli("run", "-d", "--network", "lan", "--name", "one", busybox, "sleep", "100")
    cli("run", "-d", "--network", "lan", "--name", "two", "--mac-address", "02:00:00:00:00:22", busybox, "sleep", "100")
    shown = json.loads(cli("inspect", "-f", "{{json .NetworkSettings.Networks.lan}}", "two").out)
    assert (shown["IPAddress"], shown["Gateway"], shown["MacAddress"]) == (
        "192.0.2.17", "192.0.2.1", "02:00:00:00:00:22",
    )  # fmt: skip
    with (
        inside(cli, "one") as one,
        inside(cli, "two") as two,
        answering(two, STREAM, 7),
        answering(two, STREAM, 7, "::"),
        answering(lan.namespace, DATAGRAM, 9),
    ):
        assert ask(lan.namespace, STREAM, "192.0.2.17", 7) == "192.0.2.1"
        assert ask(one, STREAM, "192.0.2.17", 7) == "192.0.2.16"
        assert ask(lan.namespace, STREAM, shown["GlobalIPv6Address"], 7) == "fd5c::1"
        assert ask(one, DATAGRAM, "192.0.2.1", 9) == "192.0.2.16", "it goes out with its own address"
    assert looked_up(cli, "one", "two") == "192.0.2.17"
    listed = cli("network", "ls", "--filter", "driver=macvlan", "--format", "{{.Name}} {{.Driver}}").out
    assert listed == "lan macvlan\n"
    assert len(cli("network", "inspect", "-f", "{{json .Containers}}", "lan").out) > 4


def test_it_keeps_its_address_over_restarts(cli: Cli, busybox: str, lan: Machine) -> None:
    create(cli, lan, "macvlan")
    cli("run", "-d", "--restart", "always", "--network", "lan", "--name", "one", busybox, "sleep", "100")
    for how in ("restart", "kill", "kill"):
        before = cli("inspect", "-f", "{{.State.Pid}}", "one").out.strip()
        if how == "restart":
            cli("restart", "-t", "0", "one")
        else:
            os.kill(int(before), signal.SIGKILL)
        eventually(
            lambda before=before: cli("inspect", "-f", "{{.State.Pid}}", "one").out.strip() in ("0", before), False
        )
        with inside(cli, "one") as there, answering(there, STREAM, 7):
            assert ask(lan.namespace, STREAM, "192.0.2.16", 7) == "192.0.2.1"


def test_it_joins_and_leaves_while_it_runs(cli: Cli, busybox: str, lan: Machine) -> None:
    create(cli, lan, "macvlan")
    cli("run", "-d", "--name", "guest", busybox, "sleep", "100")
    cli("network", "connect", "--ip", "192.0.2.99", "lan", "guest")
    with inside(cli, "guest") as there, answering(there, STREAM, 7):
        assert ask(lan.namespace, STREAM, "192.0.2.99", 7) == "192.0.2.1"
        cli("network", "disconnect", "bridge", "guest")
        assert cli("exec", "guest", "ip", "route").out.startswith("default via 192.0.2.1 ")
        assert ask(lan.namespace, STREAM, "192.0.2.99", 7) == "192.0.2.1"
        cli("network", "connect", "bridge", "guest")
        cli("network", "disconnect", "lan", "guest")
        assert ask(lan.namespace, STREAM, "192.0.2.99", 7, wait=0.5) != "192.0.2.1"
    assert "192.0.2." not in cli("exec", "guest", "ip", "address").out


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
def test_modes_of_macvlan(cli: Cli, busybox: str, lan: Machine, mode: str) -> None:
    create(cli, lan, "macvlan", "-o", f"macvlan_mode={mode}")
    cli("run", "-d", "--network", "lan", "--name", "one", busybox, "sleep", "100")
    with inside(cli, "one") as one, answering(one, STREAM, 7):
        assert ask(lan.namespace, STREAM, "192.0.2.16", 7) == "192.0.2.1"
        if mode != "passthru":  # which has room for one
            cli("run", "-d", "--network", "lan", "--name", "two", busybox, "sleep", "100")
            with inside(cli, "two") as two:
                met = ask(two, STREAM, "192.0.2.16", 7, wait=0.5) == "192.0.2.17"
            assert met == (mode == "bridge")


def test_ipvlan(cli: Cli, busybox: str, lan: Machine) -> None:
    if not has_ipvlan():
        refused = cli("network", "create", "-d", "ipvlan", "-o", f"parent={lan.link}", "lan", check=False)
        assert refused.code == 1 and "driver ipvlan: this kernel does not have it" in refused.err
        assert "lan" not in cli("network", "ls", "--format", "{{.Name}}").lines
        return
    create(cli, lan, "ipvlan")
    cli("run", "-d", "--network", "lan", "--name", "one", busybox, "sleep", "100")
    with inside(cli, "one") as one, answering(one, STREAM, 7):
        assert ask(lan.namespace, STREAM, "192.0.2.16", 7) == "192.0.2.1"


def test_what_is_refused(cli: Cli, busybox: str, lan: Machine) -> None:
    for words, said in (
        (("-d", "macvlan"), "needs the host's interface that it is on"),
        (("-d", "macvlan", "-o", "parent=lxt-nowhere"), "this host has no interface lxt-nowhere"),
        (("-d", "macvlan", "-o", f"parent={lan.link}", "-o", "macvlan_mode=l2"), "macvlan_mode='l2': choose bridge"),
        (("-d", "macvlan", "-o", f"parent={lan.link}", "-o", "ipvlan_mode=l2"), "option 'ipvlan_mode' is not"),
        (("-o", "parent=eth0"), "network option 'parent' is not supported"),
        (("-d", "overlay"), "network driver 'overlay' is not supported"),
    ):
        refused = cli("network", "create", *words, "bad", check=False)
        assert refused.code == 1 and said in refused.err and refused.err.count("\n") == 1
    create(cli, lan, "macvlan")
    refused = cli("run", "--rm", "--network", "lan", "-p", "80", busybox, "true", check=False)
    assert refused.code == 125 and "no port is published on network lan" in refused.err
    run("ip", "link", "delete", lan.link)
    gone = cli("run", "--rm", "--network", "lan", busybox, "true", check=False)
    assert gone.code == 125 and f"this host has no interface {lan.link}" in gone.err
