"""Networks joined and left, resolvers of containers' own, on the real kernel with real questions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Cli, free_port
from tests.e2e.test_own_networks import address_of, looked_up, pair, resolvers  # noqa: F401  a fixture
from tests.e2e.traffic import DATAGRAM, HERE, STREAM, answering, ask, eventually, inside, machine, run

pytestmark = pytest.mark.usefixtures("pair")


def networks_of(cli: Cli, container: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(
        cli("inspect", "-f", "{{json .NetworkSettings.Networks}}", container).out
    )
    return found


def own_resolvers(cli: Cli) -> int:
    """How many containers have a resolver of their own."""
    return len(resolvers(cli, "resolvers"))


@contextmanager
def name_server(address: str, *names: str) -> Iterator[None]:
    """A DNS server of the host's on that address, which knows each ``NAME=ADDRESS``."""
    listed = [f"--address=/{name}/{value}" for name, value in (item.split("=") for item in names)]
    argv = ["/usr/sbin/dnsmasq", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--bind-interfaces",
            f"--listen-address={address}", *listed, "--keep-in-foreground", "--pid-file="]  # fmt: skip
    with subprocess.Popen(argv) as server:
        time.sleep(0.2)
        try:
            yield
        finally:
            server.terminate()


def test_inspect_and_ps_tell_all_networks(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--name", "both", "--network", "name=one,alias=first", "--network", "name=two,alias=x,alias=y",
        busybox, "sleep", "100")  # fmt: skip
    found = networks_of(cli, "both")
    assert list(found) == ["one", "two"]
    short = cli("ps", "-q", "--filter", "name=both").out.strip()
    for name, device in (("one", "eth0"), ("two", "eth1")):
        shown = found[name]
        own = cli("exec", "both", "ip", "-o", "address", "show", device).out
        mac = cli("exec", "both", "cat", f"/sys/class/net/{device}/address").out.strip()
        assert f"inet {shown['IPAddress']}/{shown['IPPrefixLen']} " in own and shown["MacAddress"] == mac
        known = json.loads(cli("network", "inspect", name).out)[0]
        assert (shown["NetworkID"], shown["Gateway"]) == (known["Id"], known["IPAM"]["Config"][0]["Gateway"])
        assert [each["EndpointID"] for each in known["Containers"].values()] == [shown["EndpointID"]]
    assert (found["two"]["Aliases"], found["two"]["DNSNames"]) == (["x", "y"], ["both", "x", "y", short])
    assert cli("ps", "--format", "{{.Networks}}").out == "one,two\n"
    by_id = f"network={found['two']['NetworkID']}"
    assert [cli("ps", "-q", "--filter", item).out.strip() for item in ("network=two", by_id)] == [short, short]
    cli("stop", "-t", "0", "both")
    assert [each["IPAddress"] for each in networks_of(cli, "both").values()] == ["", ""]


def test_names_of_all_its_networks(cli: Cli, busybox: str) -> None:
    for network, name in (("one", "here"), ("two", "there")):
        cli("run", "-d", "--network", network, "--name", name, busybox, "sleep", "100")
    cli("run", "-d", "--network", "one", "--network", "two", "--name", "both", busybox, "sleep", "100")
    assert looked_up(cli, "both", "here") == address_of(cli, "here", "one")
    assert looked_up(cli, "both", "there") == address_of(cli, "there", "two")
    assert looked_up(cli, "here", "there") == "" and looked_up(cli, "there", "here") == ""
    cli("run", "-d", "--network", "two", "--name", "late", busybox, "sleep", "100")
    assert looked_up(cli, "both", "late") == address_of(cli, "late", "two"), "it learns of new ones"
    cli("rm", "-f", "late")
    assert looked_up(cli, "both", "late") == ""
    assert own_resolvers(cli) == 1
    cli("restart", "-t", "0", "both")
    assert looked_up(cli, "both", "there") == address_of(cli, "there", "two") and own_resolvers(cli) == 1
    cli("stop", "-t", "0", "both")
    assert own_resolvers(cli) == 0


def test_the_first_lookup_is_answered(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--network", "two", "--name", "there", busybox, "sleep", "100")
    found = cli("run", "--rm", "--network", "one", "--network", "two", busybox, "nslookup", "-type=a", "there").out
    assert address_of(cli, "there", "two") in found


def end_once(cli: Cli, container: str) -> None:
    """Its first process is killed, and its restart policy starts it anew."""
    before = cli("inspect", "-f", "{{.State.Pid}}", container).out.strip()
    os.kill(int(before), signal.SIGKILL)
    eventually(lambda: cli("inspect", "-f", "{{.State.Pid}}", container).out.strip() in ("0", before), False)


def test_a_network_joined_later_is_there_after_a_restart_by_policy(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--network", "two", "--name", "peer", busybox, "sleep", "100")
    cli("run", "-d", "--network", "one", "--name", "phoenix", "--restart", "always", busybox, "sleep", "100")
    cli("network", "connect", "--alias", "bird", "two", "phoenix")
    before = address_of(cli, "phoenix", "two")
    end_once(cli, "phoenix")
    assert f"inet {before}/" in cli("exec", "phoenix", "ip", "-4", "-o", "address").out
    assert looked_up(cli, "phoenix", "peer") == address_of(cli, "peer", "two")
    assert looked_up(cli, "peer", "bird") == before
    cli("network", "disconnect", "two", "phoenix")
    end_once(cli, "phoenix")
    assert f"inet {before}/" not in cli("exec", "phoenix", "ip", "-4", "-o", "address").out
    assert list(networks_of(cli, "phoenix")) == ["one"]


def test_the_first_network_is_left_while_it_runs(cli: Cli, busybox: str) -> None:
    port = free_port()
    with machine() as outside:
        cli("run", "-d", "--network", "one", "--network", "two", "--name", "mover", "-p", f"{port}:7", busybox,
            "sleep", "100")  # fmt: skip
        cli("run", "-d", "--network", "two", "--name", "peer", busybox, "sleep", "100")
        with inside(cli, "mover") as there, answering(there, STREAM, 7):
            assert ask(outside.namespace, STREAM, outside.host, port) == outside.address
            first = address_of(cli, "mover", "one")
            cli("network", "disconnect", "one", "mover")
            assert list(networks_of(cli, "mover")) == ["two"]
            assert first not in cli("exec", "mover", "ip", "address").out
            assert ask(outside.namespace, STREAM, outside.host, port) == outside.address, "the port goes with it"
            assert ask(there, STREAM, outside.host, port) != "TimeoutError", "from itself, too"
            with answering(outside.namespace, STREAM, 9):
                assert ask(there, STREAM, outside.address, 9) == outside.host, "it goes out by the other one"
            assert looked_up(cli, "mover", "peer") == address_of(cli, "peer", "two")
            assert first not in cli("exec", "mover", "cat", "/etc/hosts").out
        cli("restart", "-t", "0", "mover")
        with inside(cli, "mover") as there, answering(there, STREAM, 7):
            assert ask(outside.namespace, STREAM, outside.host, port) == outside.address


def test_the_only_network_is_left_and_another_joined(cli: Cli, busybox: str) -> None:
    port = free_port()
    with machine() as outside:
        cli("run", "-d", "--name", "wanderer", "-p", f"{port}:7", busybox, "sleep", "100")
        cli("network", "disconnect", "bridge", "wanderer")
        assert networks_of(cli, "wanderer") == {} and cli("port", "wanderer").out == ""
        assert "eth0" not in cli("exec", "wanderer", "ip", "link").out
        assert cli("inspect", "-f", "{{.HostConfig.NetworkMode}}", "wanderer").out == "bridge\n"
        cli("restart", "-t", "0", "wanderer")
        assert "eth0" not in cli("exec", "wanderer", "ip", "link").out
        cli("network", "connect", "one", "wanderer")
        with inside(cli, "wanderer") as there, answering(there, STREAM, 7):
            chosen = int(cli("port", "wanderer", "7").out.strip().rpartition(":")[2])
            assert chosen == port and ask(outside.namespace, STREAM, outside.host, port) == outside.address
        assert looked_up(cli, "wanderer", "wanderer") == address_of(cli, "wanderer", "one")
        again = cli("network", "disconnect", "two", "wanderer", check=False)
        assert again.code == 1 and "is not connected to network two" in again.err


def test_networks_of_a_stopped_container(cli: Cli, busybox: str) -> None:
    cli("create", "--network", "one", "--network", "two", "--name", "still", busybox, "sleep", "100")
    cli("network", "disconnect", "one", "still")
    cli("network", "connect", "--ip", address_in(cli, "one", 77), "one", "still")
    cli("start", "still")
    assert address_of(cli, "still", "one") == address_in(cli, "one", 77)
    assert cli("exec", "still", "ip", "route").out.startswith(f"default via {address_in(cli, 'two', 1)} ")
    cli("stop", "-t", "0", "still")
    for name in ("two", "one"):
        cli("network", "disconnect", name, "still")
    cli("start", "still")
    assert cli("exec", "still", "ls", "/sys/class/net").lines == ["lo"]
    none = cli("run", "-d", "--network", "none", "--name", "hermit", busybox, "sleep", "100").out
    refused = cli("network", "connect", "one", "hermit", check=False)
    assert none and refused.code == 1 and "(network none) cannot be connected" in refused.err


def address_in(cli: Cli, network: str, number: int) -> str:
    subnet = cli("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network).out
    return f"{subnet.rpartition('.')[0]}.{number}"


def test_other_names_are_asked_of_the_given_servers(cli: Cli, busybox: str) -> None:
    with (
        machine() as one,
        machine(1) as two,
        name_server(one.host, "outside.example=203.0.113.7"),
        name_server(two.host, "outside.example=203.0.113.9"),
    ):
        cli("run", "-d", "--network", "one", "--name", "db", busybox, "sleep", "100")
        cli("run", "-d", "--network", "one", "--name", "asks", "--dns", one.host, "--dns", two.host,
            "--dns-search", "example", "--dns-option", "timeout:2", busybox, "sleep", "100")  # fmt: skip
        assert cli("exec", "asks", "cat", "/etc/resolv.conf").lines == [
            "nameserver 127.0.0.11", "search example", "options timeout:2",
        ]  # fmt: skip
        assert looked_up(cli, "asks", "db.") == address_of(cli, "db", "one")
        assert [looked_up(cli, "asks", "outside.example") for _ in range(4)] == ["203.0.113.7"] * 4
        assert cli("exec", "asks", "ping", "-c1", "-W1", "outside", check=False).out.startswith("PING outside (203.")
        assert json.loads(cli("inspect", "-f", "{{json .HostConfig.Dns}}", "asks").out) == [one.host, two.host]
        cli("network", "connect", "two", "db")
        cli("network", "disconnect", "one", "db")
        assert looked_up(cli, "asks", "db.") == ""


def test_a_way_out_that_is_not_the_first(cli: Cli, busybox: str) -> None:
    port = free_port()
    cli("network", "create", "--internal", "closed")
    with machine() as outside:
        cli("run", "-d", "--network", "closed", "--network", "one", "--name", "door", "-p", f"{port}:7/udp", busybox,
            "sleep", "100")  # fmt: skip
        with inside(cli, "door") as there, answering(there, DATAGRAM, 7), answering(outside.namespace, STREAM, 9):
            assert ask(there, STREAM, outside.address, 9) == outside.host
            assert ask(outside.namespace, DATAGRAM, outside.host, port) == outside.address
            assert "." in ask(HERE, DATAGRAM, outside.host, port)


def test_nothing_is_left_of_a_killed_supervisors_resolver(cli: Cli, busybox: str) -> None:
    made = cli(
        "run", "-d", "--network", "one", "--network", "two", "--name", "gone", busybox, "sleep", "100"
    ).out.strip()
    state = json.loads(Path(cli.root, "containers", made, "state.json").read_text())
    os.kill(state["supervisor"], signal.SIGKILL)
    time.sleep(0.5)
    cli("run", "--rm", "--network", "one", busybox, "true")
    assert own_resolvers(cli) == 0
    assert not [name for name in os.listdir("/sys/class/net") if name.startswith(f"lxv{made[:7]}")]
    cli("start", "gone")
    assert own_resolvers(cli) == 1


def test_a_subnet_that_another_interface_has_taken_since(cli: Cli, busybox: str) -> None:
    cli("network", "create", "late")
    taken = address_in(cli, "late", 9)
    with machine() as outside:
        run("ip", "address", "add", f"{taken}/24", "dev", outside.link)
        refused = cli("run", "--rm", "--network", "late", busybox, "true", check=False)
        assert refused.code == 125 and f"in use by the interface {outside.link} now" in refused.err
    cli("run", "--rm", "--network", "late", busybox, "true")


def test_the_host_of_an_internal_network(cli: Cli, busybox: str) -> None:
    cli("network", "create", "--internal", "closed")
    words = ("run", "--rm", "--network", "closed", "--add-host", "up:host-gateway", busybox, "cat", "/etc/hosts")
    assert f"{address_in(cli, 'closed', 1)}\tup" in cli(*words).lines
