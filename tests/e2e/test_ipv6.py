"""IPv6 on networks of the user's own, on the real kernel with real traffic."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lxcwrap.kernel import veth
from lxcwrap.network import ipv6
from tests.conftest import Cli, free_port
from tests.e2e.test_own_networks import left, resolvers
from tests.e2e.traffic import DATAGRAM, HERE, STREAM, Machine, answering, ask, eventually, inside, machine, opened, run

NO_WAY = ("TimeoutError", "ConnectionRefusedError", "Network is unreachable", "No route to host")


@pytest.fixture(scope="module")
def outside() -> Iterator[Machine]:
    with machine() as made:
        yield made


@pytest.fixture(autouse=True)
def dual(cli: Cli) -> Iterator[str]:
    """A network with both; it and all containers are gone afterwards."""
    cli("network", "create", "--ipv6", "dual")
    yield "dual"
    ids = cli("ps", "-aq").out.split()
    if ids:
        cli("rm", "-f", *ids)
    cli("network", "prune", "-f")
    assert (left(cli)[1], resolvers(cli), resolvers(cli, "resolvers")) == ([], [], [])


def sleeper(cli: Cli, image: str, name: str, *words: str, network: str = "dual") -> tuple[str, str]:
    """A container; its addresses."""
    cli("run", "-d", "--network", network, "--name", name, *words, image, "sleep", "100")
    return addresses_of(cli, name, network)


def addresses_of(cli: Cli, name: str, network: str = "dual") -> tuple[str, str]:
    shown = json.loads(cli("inspect", "-f", "{{json .NetworkSettings.Networks}}", name).out)[network]
    return shown["IPAddress"], shown["GlobalIPv6Address"]


def gateway6(cli: Cli, network: str = "dual") -> str:
    return cli("network", "inspect", "-f", "{{(index .IPAM.Config 1).Gateway}}", network).out.strip()


def test_addresses_names_and_a_way_out(cli: Cli, busybox: str, outside: Machine) -> None:
    _, address = sleeper(cli, busybox, "one")
    sleeper(cli, busybox, "two")
    assert address.startswith("fd") and f"inet6 {address}/64 scope global" in cli(
        "exec", "one", "ip", "-6", "-o", "address", "show", "eth0"
    ).out  # fmt: skip
    assert f"default via {gateway6(cli)} dev eth0" in cli("exec", "one", "ip", "-6", "route").out
    assert f"Address: {address}" in cli("exec", "two", "nslookup", "-type=aaaa", "one").out
    assert f"{address}\t" in cli("exec", "one", "cat", "/etc/hosts").out
    with (
        inside(cli, "one") as there,
        inside(cli, "two") as neighbour,
        answering(there, STREAM, 7, "::"),
        answering(outside.namespace, STREAM, 9, "::"),
    ):
        assert ask(neighbour, STREAM, address, 7) == addresses_of(cli, "two")[1]
        assert ask(there, STREAM, outside.address6, 9) == outside.host6, "NAT66"
        assert ask(outside.namespace, STREAM, address, 7, wait=0.5) in NO_WAY, "it is not published"
    restarted = cli("restart", "-t", "0", "one") and addresses_of(cli, "one")[1]
    assert restarted == address


def test_it_works_at_once(cli: Cli, busybox: str, outside: Machine) -> None:
    """No second goes by in which the kernel would ask who else has the address."""
    with answering(outside.namespace, STREAM, 9, "::"):
        words = ("run", "--rm", "-i", "--network", "dual", busybox, "nc", "-w", "2", outside.address6, "9")
        assert cli(*words, input=b"?").out == outside.host6
    flags = "".join(cli("run", "--rm", "--network", "dual", busybox, "ip", "-6", "address", "show", "eth0").lines[1:2])
    assert "tentative" not in flags


def test_published_ports_of_both_families(cli: Cli, busybox: str, outside: Machine) -> None:
    tcp, udp, bound = free_port(), free_port(), free_port()
    ports = ("-p", f"{tcp}:7", "-p", f"{udp}:7/udp", "-p", f"[{outside.host6}]:{bound}:7", "-p", "9")
    sleeper(cli, busybox, "server", *ports)
    sleeper(cli, busybox, "other")
    with (
        inside(cli, "server") as there,
        inside(cli, "other") as neighbour,
        answering(there, STREAM, 7, "::"),
        answering(there, DATAGRAM, 7, "::"),
        answering(there, STREAM, 7),
    ):
        for kind, port in ((STREAM, tcp), (DATAGRAM, udp), (STREAM, bound)):
            assert ask(outside.namespace, kind, outside.host6, port) == outside.address6, "its own address is seen"
            assert ask(HERE, kind, outside.host6, port) == outside.host6
            assert ask(neighbour, kind, outside.host6, port) == gateway6(cli)
            assert ask(there, kind, outside.host6, port) == gateway6(cli), "from itself, by the host's address"
        assert ask(outside.namespace, STREAM, outside.host, tcp) == outside.address, "and IPv4"
        assert ask(HERE, STREAM, gateway6(cli), tcp) != "ConnectionRefusedError"
        assert ask(outside.namespace, STREAM, outside.host, bound) in NO_WAY
        assert ask(HERE, STREAM, "::1", tcp) == gateway6(cli) and "." in ask(HERE, STREAM, "127.0.0.1", tcp)
    lines = cli("port", "server").lines
    assert f"7/tcp -> [{outside.host6}]:{bound}" in lines and f"7/udp -> [::]:{udp}" in lines
    four, six = (line.rpartition(":")[2] for line in lines if line.startswith("9/tcp"))
    assert four == six, "one number on both"
    assert f"[::]:{tcp}->7/tcp" in cli("ps", "--format", "{{.Ports}}").out
    taken = cli("run", "--rm", "--network", "dual", "-p", f"[::]:{tcp}:7", busybox, "true", check=False)
    assert taken.code == 125 and f"port [::]:{tcp}/tcp is already allocated to container server" in taken.err
    with answering(HERE, STREAM, free := free_port(), "::"):
        taken = cli("run", "--rm", "--network", "dual", "-p", f"{free}:7", busybox, "true", check=False)
        assert taken.code == 125 and f"port [::]:{free}/tcp is already in use by another program" in taken.err
    cli("rm", "-f", "server")
    assert ask(outside.namespace, STREAM, outside.host6, tcp) == "ConnectionRefusedError"


def test_addresses_that_are_asked_for(cli: Cli, busybox: str) -> None:
    cli("network", "create", "--ipv6", "--subnet", "fd5b:1::/64", "--gateway", "fd5b:1::ff", "--ip-range",
        "fd5b:1::100/120", "--aux-address", "router=fd5b:1::102", "planned")  # fmt: skip
    assert sleeper(cli, busybox, "first", network="planned")[1] == "fd5b:1::103"
    assert sleeper(cli, busybox, "asked", "--ip6", "fd5b:1:0::5:6", network="planned")[1] == "fd5b:1::5:6"
    sleeper(cli, busybox, "guest", network="bridge")
    cli("network", "connect", "--ip6", "fd5b:1::7", "planned", "guest")
    assert addresses_of(cli, "guest", "planned")[1] == "fd5b:1::7"
    with inside(cli, "guest") as there, inside(cli, "first") as other, answering(there, STREAM, 7, "::"):
        assert ask(other, STREAM, "fd5b:1::7", 7) == "fd5b:1::103"
    config = json.loads(cli("network", "inspect", "planned").out)[0]["IPAM"]["Config"][1]
    assert config == {
        "Subnet": "fd5b:1::/64", "Gateway": "fd5b:1::ff", "IPRange": "fd5b:1::100/120",
        "AuxiliaryAddresses": {"router": "fd5b:1::102"},
    }  # fmt: skip
    for words, said in (
        (("run", "--rm", "--network", "planned", "--ip6", "fd5b:1::7", busybox, "true"), "is container guest's"),
        (("run", "--rm", "--network", "planned", "--ip6", "fd5b:2::7", busybox, "true"), "is not one of network"),
        (("run", "--rm", "--ip6", "fd5b:2::7", busybox, "true"), "--ip6 goes with a network of your own"),
        (("run", "--rm", "-p", "[::]:80:80", busybox, "true"), "port [::]:80/tcp: the container has no IPv6 address"),
        (("network", "create", "--ipv6", "--subnet", "fd5b:1::/48", "wider"), "overlaps"),
        (("network", "create", "--subnet", "fd5b:9::/64", "half"), "is IPv6: it goes with --ipv6"),
    ):
        refused = cli(*words, check=False)
        assert refused.code and said in refused.err and "Traceback" not in refused.err


def test_networks_do_not_reach_each_other(cli: Cli, busybox: str, outside: Machine) -> None:
    cli("network", "create", "--ipv6", "second")
    cli("network", "create", "--ipv6", "--internal", "closed")
    port = free_port()
    addresses = sleeper(cli, busybox, "server", "-p", f"{port}:7")
    sleeper(cli, busybox, "stranger", network="second")
    inner = sleeper(cli, busybox, "hidden", network="closed")
    sleeper(cli, busybox, "mate", network="closed")
    with (
        inside(cli, "server") as there,
        inside(cli, "stranger") as stranger,
        inside(cli, "hidden") as hidden,
        inside(cli, "mate") as mate,
        answering(there, STREAM, 7, "::"),
        answering(there, STREAM, 7),
        answering(hidden, STREAM, 7, "::"),
        answering(hidden, STREAM, 7),
        answering(outside.namespace, STREAM, 9, "::"),
        answering(outside.namespace, STREAM, 9),
    ):
        for target in addresses:
            assert ask(stranger, STREAM, target, 7, wait=0.5) in NO_WAY
            assert ask(hidden, STREAM, target, 7, wait=0.5) in NO_WAY
        for target in inner:
            assert ask(mate, STREAM, target, 7) != "ConnectionRefusedError"
            assert ask(stranger, STREAM, target, 7, wait=0.5) in NO_WAY
            assert ask(outside.namespace, STREAM, target, 7, wait=0.5) in NO_WAY
        for target in (outside.address, outside.address6):
            assert ask(hidden, STREAM, target, 9, wait=0.5) in NO_WAY, "an internal network has no way out"
        # by a gateway's address only what is published is reached, as by any other address of the host
        assert ask(stranger, STREAM, gateway6(cli), 7, wait=0.5) in NO_WAY
        assert ask(stranger, STREAM, gateway6(cli), port) == gateway6(cli)
        assert ask(hidden, STREAM, gateway6(cli, "closed"), port, wait=0.5) in NO_WAY
        # nor when somebody points a route at the other's gateway
        for name, via in (("stranger", gateway6(cli, "second")), ("hidden", gateway6(cli, "closed"))):
            pid = cli("inspect", "-f", "{{.State.Pid}}", name).out.strip()
            add_route(int(pid), addresses[1], via)
        assert ask(stranger, STREAM, addresses[1], 7, wait=0.5) in NO_WAY
        assert ask(hidden, STREAM, addresses[1], 7, wait=0.5) in NO_WAY


def add_route(pid: int, target: str, via: str) -> None:
    run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-6", "route", "add", f"{target}/128", "via", via)


def test_a_routed_network(cli: Cli, busybox: str, outside: Machine) -> None:
    cli("network", "create", "--ipv6", "-o", "com.docker.network.bridge.gateway_mode_ipv6=routed", "routed")
    address, address6 = sleeper(cli, busybox, "server", "-p", f"{free_port()}:7", network="routed")
    with (
        inside(cli, "server") as there,
        answering(there, STREAM, 7, "::"),
        answering(there, STREAM, 8, "::"),
        answering(outside.namespace, STREAM, 9, "::"),
        answering(outside.namespace, STREAM, 9),
    ):
        assert ask(there, STREAM, outside.address6, 9) == address6, "its own address is seen"
        assert ask(there, STREAM, outside.address, 9) == outside.host, "IPv4 is not routed"
        assert ask(outside.namespace, STREAM, address6, 7) == outside.address6, "what is published is reached"
        assert ask(outside.namespace, STREAM, address6, 8, wait=0.5) in NO_WAY
        assert ask(outside.namespace, STREAM, address, 7, wait=0.5) in NO_WAY


def test_a_network_just_made_answers_at_once(cli: Cli, busybox: str) -> None:
    """While an address is tentative the kernel asks whether somebody else has it, and answers nobody."""
    cli("network", "create", "--ipv6", "sudden")
    cli("run", "-d", "--network", "sudden", "--name", "early", busybox, "sleep", "100")
    bridge = f"lxn{cli('network', 'inspect', '-f', '{{.Id}}', 'sudden').out[:12]}"
    assert "inet6 fe80:" in run("ip", "-6", "address", "show", "dev", bridge)
    assert run("ip", "-6", "address", "show", "dev", bridge, "tentative") == ""
    cli("rm", "-f", "early")
    cli("network", "rm", "sudden")


def test_two_networks_of_which_the_first_has_no_ipv6(cli: Cli, busybox: str, outside: Machine) -> None:
    cli("network", "create", "plain")
    port = free_port()
    cli("run", "-d", "--network", "plain", "--name", "mixed", "-p", f"{port}:7", busybox, "sleep", "100")
    cli("network", "connect", "dual", "mixed")
    with inside(cli, "mixed") as there, answering(there, STREAM, 7, "::"), answering(there, STREAM, 7):
        assert f"default via {gateway6(cli)} " in cli("exec", "mixed", "ip", "-6", "route").out
        assert ask(outside.namespace, STREAM, outside.host, port) == outside.address
    cli("restart", "-t", "0", "mixed")
    with inside(cli, "mixed") as there, answering(there, STREAM, 7, "::"):
        assert ask(outside.namespace, STREAM, outside.host6, port) == outside.address6


def test_a_host_that_learns_its_routes_goes_on_doing_so() -> None:
    """On kernels before 6.17, which can forward on all interfaces only."""
    with veth.entered(veth.new_namespace()):
        place = Path("/proc/sys/net/ipv6/conf")
        (place / "default" / "accept_ra").write_text("1")
        run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "far")
        ipv6.forward_all()
        assert (place / "all" / "forwarding").read_text() == "1\n"
        assert (place / "uplink" / "accept_ra").read_text() == "2\n"


def test_a_port_on_the_loopback_address(cli: Cli, busybox: str, outside: Machine) -> None:
    port, other = free_port(), free_port()
    cli("run", "-d", "--network", "dual", "--name", "local", "--restart", "always", "-p", f"[::1]:{port}:7", busybox,
        "sleep", "100")  # fmt: skip
    cli("run", "-d", "--name", "plain", "-p", f"[::1]:{other}:8", "-p", f"127.0.0.1:{other}:8", busybox,
        "sleep", "100")  # fmt: skip
    assert cli("port", "plain").lines == [f"8/tcp -> 127.0.0.1:{other}", f"8/tcp -> [::1]:{other}"]
    for round_ in ("run", "killed"):
        with inside(cli, "local") as there, answering(there, STREAM, 7, "::"):
            assert ask(HERE, STREAM, "::1", port) == gateway6(cli), round_
            assert ask(HERE, STREAM, "127.0.0.1", port) == "ConnectionRefusedError"
            assert ask(outside.namespace, STREAM, outside.host6, port) == "ConnectionRefusedError"
        pid = cli("inspect", "-f", "{{.State.Pid}}", "local").out.strip()
        os.kill(int(pid), signal.SIGKILL)
        eventually(lambda: cli("inspect", "-f", "{{.State.Pid}}", "local").out.strip() in ("0", pid), False)  # noqa: B023
    assert ask(HERE, STREAM, "::1", port) == "ConnectionResetError", "nobody listens in the container"
    with inside(cli, "plain") as there, listening(there, 8) as server:
        pieces = echo_backwards(server, other, 3_000_000)
        assert pieces == 3_000_000
        cli("network", "create", "later")
        cli("network", "connect", "later", "plain")
        cli("network", "disconnect", "bridge", "plain")
        assert echo_backwards(server, other, 1000) == 1000, "it follows the container to another network"
    taken = cli("run", "--rm", "-p", f"[::1]:{other}:8", busybox, "true", check=False)
    assert taken.code == 125 and f"port [::1]:{other}/tcp is already allocated to container plain" in taken.err
    refused = cli("run", "--rm", "-p", "[::1]:53:53/udp", busybox, "true", check=False)
    assert refused.code == 125 and "only TCP is published on ::1" in refused.err
    cli("stop", "-t", "0", "plain")
    assert ask(HERE, STREAM, "::1", other) == "ConnectionRefusedError"


@contextmanager
def listening(namespace: int, port: int) -> Iterator[socket.socket]:
    with opened(namespace, STREAM, "0.0.0.0") as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", port))
        server.listen()
        yield server


def echo_backwards(server: socket.socket, port: int, size: int) -> int:
    """Send so many bytes, say that this is all, and only then hear as many come back: how many do."""
    content = os.urandom(size)

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            heard = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            connection.sendall(heard[::-1])

    thread = threading.Thread(target=serve)
    thread.start()
    with socket.create_connection(("::1", port), timeout=10) as client:
        client.sendall(content)
        client.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: client.recv(1 << 16), b""))
    thread.join()
    assert heard == content[::-1]
    return len(heard)
