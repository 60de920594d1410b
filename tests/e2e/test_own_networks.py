"""Networks of the user's own on the real kernel: who reaches whom, names, one dnsmasq each, what is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lxcwrap.kernel import veth
from lxcwrap.model.paths import Paths
from tests.conftest import Cli, free_port

WEB = "mkdir -p /w; echo hello >/w/index.html; exec httpd -f -p 80 -h /w"


def address_of(cli: Cli, container: str, network: str) -> str:
    networks = json.loads(cli("inspect", "-f", "{{json .NetworkSettings.Networks}}", container).out)
    return str(networks[network]["IPAddress"])


def reaches(cli: Cli, container: str, address: str, port: int = 80) -> bool:
    """Whether a connection from inside the container is answered."""
    pid = cli("inspect", "-f", "{{.State.Pid}}", container).out.strip()
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        with veth.entered(namespace):
            probe = socket.socket()
    finally:
        os.close(namespace)
    with probe:
        probe.settimeout(2)
        deadline = time.monotonic() + 3
        while True:
            try:
                probe.connect((address, port))
                return True
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)  # its server is about to listen
            except OSError:
                return False


def looked_up(cli: Cli, container: str, name: str) -> str:
    """The address that the container's own resolver gives for the name; '' for none."""
    found = cli("exec", container, "nslookup", name, check=False).out
    answers = [line.split()[1] for line in found.splitlines() if line.startswith("Address:")]
    return answers[1] if len(answers) > 1 else ""


def resolvers(cli: Cli, of: str = "networks") -> list[int]:
    """The live dnsmasq processes of this state root: those of networks, or of containers (``resolvers``)."""
    mark = f"--pid-file={Paths(cli.root).run}/{of}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def left(cli: Cli) -> tuple[list[str], list[str]]:
    """The links and tables that networks of the user's own have in the kernel."""
    links = [name for name in os.listdir("/sys/class/net") if name.startswith("lxn")]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return links, [line for line in tables.splitlines() if f"{Paths(cli.root).nft_table}_" in line]


@pytest.fixture
def pair(cli: Cli) -> Iterator[tuple[str, str]]:
    """Two networks; they and their containers are gone afterwards."""
    cli("network", "create", "one")
    cli("network", "create", "two")
    yield "one", "two"
    ids = cli("ps", "-aq").out.split()
    if ids:
        cli("rm", "-f", *ids)
    cli("network", "prune", "-f")
    assert cli("network", "ls", "-q", "--filter", "type=custom").out == ""
    assert left(cli)[1] == []
    assert resolvers(cli) == [] and resolvers(cli, "resolvers") == []


def test_names_and_reach_end_at_the_network(cli: Cli, busybox: str, pair: tuple[str, str]) -> None:
    cli("run", "-d", "--network", "one", "--name", "db", "--network-alias", "data", busybox, "sh", "-c", WEB)
    cli("run", "-d", "--network", "one", "--name", "web", busybox, "sleep", "100")
    cli("run", "-d", "--network", "two", "--name", "stranger", busybox, "sleep", "100")
    cli("run", "-d", "--name", "plain", busybox, "sleep", "100")
    address, short = address_of(cli, "db", "one"), cli("ps", "-q", "--filter", "name=db").out.strip()
    assert [looked_up(cli, "web", name) for name in ("db", "data", short)] == [address] * 3
    assert reaches(cli, "web", address)
    assert looked_up(cli, "stranger", "db") == ""
    assert not reaches(cli, "stranger", address)
    assert not reaches(cli, "plain", address)
    assert not reaches(cli, "stranger", cli("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "one")
                       .out.strip(), 53)  # fmt: skip
    assert len(resolvers(cli)) == 2
    refused = cli("network", "rm", "one", check=False)
    assert refused.code == 1 and "network one has active endpoints: db, web" in refused.err
    before = resolvers(cli)
    cli("rename", "db", "base")
    assert looked_up(cli, "web", "base") == address and looked_up(cli, "web", "db") == ""
    cli("rm", "-f", "base")
    assert looked_up(cli, "web", "base") == "" and resolvers(cli) == before


def test_connect_and_disconnect_while_it_runs(cli: Cli, busybox: str, pair: tuple[str, str]) -> None:
    cli("run", "-d", "--network", "one", "--name", "db", busybox, "sh", "-c", WEB)
    cli("run", "-d", "--network", "two", "--name", "guest", busybox, "sleep", "100")
    cli("network", "connect", "--alias", "visitor", "one", "guest")
    assert reaches(cli, "guest", address_of(cli, "db", "one"))
    assert looked_up(cli, "db", "visitor") == address_of(cli, "guest", "one")
    again = cli("network", "connect", "one", "guest", check=False)
    assert again.code == 1 and "already on network one" in again.err
    target = address_of(cli, "db", "one")
    cli("network", "disconnect", "one", "guest")
    assert not reaches(cli, "guest", target)
    assert looked_up(cli, "db", "visitor") == ""


def test_several_networks_from_the_start_and_a_published_port(cli: Cli, busybox: str, pair: tuple[str, str]) -> None:
    port = free_port()
    cli("run", "-d", "--network", "one", "--network", "two", "--name", "both", "-p", f"{port}:80", busybox,
        "sh", "-c", WEB)  # fmt: skip
    cli("run", "-d", "--network", "two", "--name", "peer", busybox, "sleep", "100")
    assert reaches(cli, "peer", address_of(cli, "both", "two"))
    assert looked_up(cli, "peer", "both") == address_of(cli, "both", "two")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1")
    cli("restart", "-t", "0", "both")
    assert reaches(cli, "peer", address_of(cli, "both", "two"))


def test_addresses_that_are_asked_for(cli: Cli, busybox: str, pair: tuple[str, str]) -> None:
    cli("network", "create", "--subnet", "10.143.250.0/24", "--gateway", "10.143.250.254", "--ip-range",
        "10.143.250.16/28", "--aux-address", "router=10.143.250.16", "--label", "a=b", "planned")  # fmt: skip
    cli("create", "--network", "planned", "--name", "asked", "--ip", "10.143.250.77", busybox, "true")
    chosen = cli("run", "--rm", "--network", "planned", busybox, "ip", "-4", "address", "show", "eth0").out
    assert "inet 10.143.250.17/24" in chosen
    cli("start", "asked")
    taken = cli("run", "--rm", "--network", "planned", "--ip", "10.143.250.77", busybox, "true", check=False)
    assert taken.code == 125 and "10.143.250.77 of network planned is container asked's" in taken.err
    outside = cli("run", "--rm", "--network", "planned", "--ip", "10.9.9.9", busybox, "true", check=False)
    assert outside.code == 125 and "is not one of network planned" in outside.err
    shown = json.loads(cli("network", "inspect", "planned").out)[0]
    assert shown["IPAM"]["Config"][0]["IPRange"] == "10.143.250.16/28" and shown["Labels"] == {"a": "b"}
    overlapping = cli("network", "create", "--subnet", "10.143.0.0/16", "wider", check=False)
    assert overlapping.code == 1 and "overlaps" in overlapping.err


def test_an_internal_network_has_no_way_out(cli: Cli, busybox: str, pair: tuple[str, str]) -> None:
    cli("network", "create", "--internal", "closed")
    cli("run", "-d", "--network", "closed", "--name", "in1", busybox, "sh", "-c", WEB)
    cli("run", "-d", "--network", "closed", "--name", "in2", busybox, "sleep", "100")
    cli("run", "-d", "--network", "one", "--name", "out", busybox, "sh", "-c", WEB)
    assert reaches(cli, "in2", address_of(cli, "in1", "closed"))
    assert not reaches(cli, "in2", address_of(cli, "out", "one"))


def test_a_killed_supervisor_leaves_no_resolver(cli: Cli, busybox: str, pair: tuple[str, str]) -> None:
    cli("run", "-d", "--network", "one", "--name", "killed", busybox, "sleep", "100")
    place = Paths(cli.root).container(cli("inspect", "-f", "{{.Id}}", "killed").out.strip())
    os.kill(json.loads(Path(place, "state.json").read_text())["supervisor"], signal.SIGKILL)
    time.sleep(0.5)
    cli("run", "-d", "--network", "two", "--name", "next", busybox, "sleep", "100")
    (only,) = resolvers(cli)
    os.kill(only, signal.SIGKILL)  # and the next start makes another
    cli("run", "-d", "--network", "two", "--name", "third", busybox, "sleep", "100")
    assert looked_up(cli, "third", "next") == address_of(cli, "next", "two")
    assert looked_up(cli, "third", "killed") == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("network", "create", "bridge"), 1, "operation is not permitted on predefined bridge network"),
        (("network", "create", "one"), 1, "network with name one already exists"),
        (("network", "create", "--subnet", "10.0.0.0/33", "x1"), 1, "--subnet"),
        (("network", "create", "--subnet", "fd00::/64", "x1"), 1, "it goes with --ipv6"),
        (("network", "create", "-d", "overlay", "x1"), 1, "network driver 'overlay' is not supported"),
        (("network", "create", "-o", "speed=1", "x1"), 1, "network option 'speed' is not supported"),
        (("network", "rm", "nowhere"), 1, "no such network: nowhere"),
        (("network", "rm", "host"), 1, "host is a pre-defined network and cannot be removed"),
        (("run", "--rm", "--network", "nowhere", "busybox", "true"), 125, "network nowhere not found"),
        (("run", "--rm", "--network-alias", "x", "busybox", "true"), 125, "--network-alias goes with a network"),
    ],
)
def test_what_is_refused(
    cli: Cli, busybox: str, pair: tuple[str, str], words: tuple[str, ...], code: int, message: str
) -> None:
    result = cli(*words, check=False)
    assert result.code == code and message in result.err
    assert "Traceback" not in result.err


def test_other_names_come_from_the_configured_servers(cli: Cli, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "network.yaml").write_text("dns: [127.0.0.2]\n")
    server = ["/usr/sbin/dnsmasq", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--bind-interfaces",
              "--listen-address=127.0.0.2", "--address=/outside.example/203.0.113.7", "--keep-in-foreground",
              "--pid-file="]  # fmt: skip
    cli("network", "create", "asking")
    with subprocess.Popen(server) as asked:
        try:
            settings = {"LXCWRAP_CONFIG_DIR": str(tmp_path)}
            cli("run", "-d", "--name", "asks", "--network", "asking", busybox, "sleep", "600", env=settings)
            assert looked_up(cli, "asks", "outside.example") == "203.0.113.7"
        finally:
            asked.terminate()
    cli("rm", "-f", "asks")
    cli("network", "rm", "asking")
