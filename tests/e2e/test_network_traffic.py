"""Published ports and open connections on networks of the user's own, with real traffic."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lxcwrap.model.paths import Paths
from tests.conftest import Cli, free_port
from tests.e2e.test_own_networks import address_of, pair  # noqa: F401  a fixture
from tests.e2e.traffic import DATAGRAM, HERE, STREAM, Machine, answering, ask, inside, machine, run, talking

pytestmark = pytest.mark.usefixtures("pair")


@pytest.fixture(scope="module")
def outside() -> Iterator[Machine]:
    with machine() as made:
        yield made


def gateway(cli: Cli, network: str) -> str:
    return cli("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", network).out.strip()


def test_a_published_port_is_reached_from_everywhere(cli: Cli, busybox: str, outside: Machine) -> None:
    tcp, udp = free_port(), free_port()
    cli("run", "-d", "--network", "one", "--name", "server", "-p", f"{tcp}:7", "-p", f"{udp}:7/udp", busybox,
        "sleep", "100")  # fmt: skip
    cli("run", "-d", "--network", "one", "--name", "mate", busybox, "sleep", "100")
    cli("run", "-d", "--network", "two", "--name", "stranger", busybox, "sleep", "100")
    own = gateway(cli, "one")
    with (
        inside(cli, "server") as there,
        inside(cli, "mate") as mate,
        inside(cli, "stranger") as stranger,
        answering(there, STREAM, 7),
        answering(there, DATAGRAM, 7),
    ):
        for kind, port in ((STREAM, tcp), (DATAGRAM, udp)):
            assert ask(outside.namespace, kind, outside.host, port) == outside.address, "its own address is seen"
            assert ask(HERE, kind, outside.host, port) == outside.host
            assert ask(HERE, kind, "127.0.0.1", port) == own
            assert ask(there, kind, outside.host, port) == own, "from itself, by the host's address"
            assert ask(there, kind, own, port) == own, "or the gateway's"
            assert ask(mate, kind, outside.host, port) == own
            assert ask(stranger, kind, outside.host, port) == own
            assert ask(stranger, kind, own, port) == own, "what is published is reached by any address of the host"
        for target in (own, address_of(cli, "server", "one")):
            assert ask(stranger, STREAM, target, 7, wait=0.5) in ("TimeoutError", "ConnectionRefusedError")
        assert ask(outside.namespace, STREAM, address_of(cli, "server", "one"), 7, wait=0.5) == "TimeoutError"


def test_a_range_of_ports(cli: Cli, busybox: str, outside: Machine) -> None:
    first = free_port(4)
    cli("run", "-d", "--network", "one", "--name", "many", "-p", f"{first}-{first + 2}:7000-7002",
        "-p", f"{first}-{first + 2}:7000-7002/udp", busybox, "sleep", "100")  # fmt: skip
    with inside(cli, "many") as there, ExitStack() as stack:
        for number in range(3):
            stack.enter_context(answering(there, STREAM, 7000 + number))
            stack.enter_context(answering(there, DATAGRAM, 7000 + number))
        for number in range(3):
            for kind in (STREAM, DATAGRAM):
                assert ask(outside.namespace, kind, outside.host, first + number) == outside.address
        assert ask(outside.namespace, STREAM, outside.host, first + 3) == "ConnectionRefusedError"


def still_answers(connections: dict[str, socket.socket]) -> dict[str, str]:
    """Who they are to the other side; the name of the error for one that is broken."""
    found = {}
    for name, connection in connections.items():
        try:
            connection.send(b"?")
            found[name] = connection.recv(100).decode()
        except OSError as error:
            found[name] = type(error).__name__
    return found


def test_open_connections_stay_open_while_rules_change(cli: Cli, busybox: str, outside: Machine) -> None:
    cli("network", "create", "--ipv6", "six")
    port, port6 = free_port(), free_port()
    cli("run", "-d", "--network", "one", "--name", "server", "-p", f"{port}:7", busybox, "sleep", "100")
    cli("run", "-d", "--network", "one", "--name", "mate", busybox, "sleep", "100")
    cli("run", "-d", "--network", "six", "--name", "server6", "-p", f"{port6}:7", busybox, "sleep", "100")
    with ExitStack() as stack:
        there, mate, six = (stack.enter_context(inside(cli, name)) for name in ("server", "mate", "server6"))
        for namespace, kind, number, address in (
            (there, STREAM, 7, "0.0.0.0"), (there, DATAGRAM, 7, "0.0.0.0"), (six, STREAM, 7, "::"),
            (outside.namespace, STREAM, 9, "0.0.0.0"), (outside.namespace, STREAM, 9, "::"),
        ):  # fmt: skip
            stack.enter_context(answering(namespace, kind, number, address))
        target = address_of(cli, "server", "one")
        wanted = {
            "published": (outside.namespace, STREAM, outside.host, port),
            "published6": (outside.namespace, STREAM, outside.host6, port6),
            "from itself": (there, STREAM, outside.host, port),
            "by loopback": (HERE, STREAM, "127.0.0.1", port),
            "neighbours": (mate, STREAM, target, 7),
            "neighbours by datagrams": (mate, DATAGRAM, target, 7),
            "going out": (there, STREAM, outside.address, 9),
            "going out6": (six, STREAM, outside.address6, 9),
        }
        opened = {name: stack.enter_context(talking(*where)) for name, where in wanted.items()}
        before = still_answers(opened)
        assert before["published"] == outside.address and before["going out6"] == outside.host6
        assert not [seen for seen in before.values() if "Error" in seen]

        def unharmed(what: str) -> None:
            assert still_answers(opened) == before, what

        cli("run", "-d", "--network", "one", "--name", "more", "-p", "80", "-p", "53/udp", busybox, "sleep", "100")
        unharmed("another container is published")
        cli("rm", "-f", "more")
        unharmed("and removed")
        cli("network", "create", "--ipv6", "short")
        cli("run", "--rm", "--network", "short", "-p", "80", busybox, "true")
        unharmed("a network is made")
        cli("network", "rm", "short")
        unharmed("and removed")
        cli("network", "connect", "two", "server")
        unharmed("another network is joined")
        cli("network", "disconnect", "two", "server")
        unharmed("and left")
        own = cli("network", "inspect", "-f", "{{.Id}}", "one").out[:12]
        for table in (Paths(cli.root).nft_table, f"{Paths(cli.root).nft_table}_{own}"):
            run("nft", "delete", "table", "inet", table)
        cli("run", "--rm", "--network", "one", "-p", "80", busybox, "true")
        unharmed("all rules are written anew")
        cli("rm", "-f", "server")
        assert still_answers({"published": opened["published"]})["published"] != outside.address


def test_an_internal_network_reaches_nobody(cli: Cli, busybox: str, outside: Machine) -> None:
    cli("network", "create", "--internal", "closed")
    cli("run", "-d", "--network", "closed", "--name", "hidden", "-p", f"{free_port()}:7", busybox, "sleep", "100")
    cli("run", "-d", "--network", "one", "--name", "open", busybox, "sleep", "100")
    assert cli("port", "hidden").out == "" and "default" not in cli("exec", "hidden", "ip", "route").out
    address, other = address_of(cli, "hidden", "closed"), address_of(cli, "open", "one")
    pid = cli("inspect", "-f", "{{.State.Pid}}", "hidden").out.strip()
    with (
        inside(cli, "hidden") as there,
        inside(cli, "open") as neighbour,
        answering(there, STREAM, 7),
        answering(neighbour, STREAM, 7),
        answering(outside.namespace, STREAM, 9),
        answering(outside.namespace, DATAGRAM, 9),
    ):
        assert ask(there, STREAM, outside.address, 9, wait=0.5) == "Network is unreachable"
        run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "route", "add", "default", "via", gateway(cli, "closed"))
        for kind in (STREAM, DATAGRAM):
            assert ask(there, kind, outside.address, 9, wait=0.5) == "TimeoutError", "nor by a route of its own"
        assert ask(there, STREAM, other, 7, wait=0.5) == "TimeoutError"
        assert ask(outside.namespace, STREAM, address, 7, wait=0.5) == "TimeoutError"
        assert ask(neighbour, STREAM, address, 7, wait=0.5) == "TimeoutError"
    found = cli("exec", "hidden", "nslookup", "-type=a", "deb.debian.org", check=False).out
    assert "can't find" in found and json.loads(cli("network", "inspect", "closed").out)[0]["Internal"]
