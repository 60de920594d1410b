"""Take-overs where the host's firewall is asked about published ports, on routed networks, and of UDP."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from tests.boxed import Box
from tests.conftest import Cli, free_port
from tests.e2e.load import load, serving
from tests.e2e.test_app_end_take_over import asked, started, tidy  # noqa: F401  a fixture
from tests.e2e.test_firewall import PORT, rules, set_mode
from tests.e2e.traffic import DATAGRAM, STREAM, answering, ask, inside, machine, opened, talking


@pytest.mark.parametrize("mode", ["own", "honour"])
def test_the_hosts_firewall_is_asked_about_the_new_one_too(box: Box, mode: str) -> None:
    set_mode(box, f"firewall: {mode}\n")
    rules(box, "nft", "all")
    take = ("--name", "web", "--publish", f"{PORT}:7")
    old, new = started(box, "web-r1"), started(box, "web-r2")
    box("app-end", "take-over", old, "-", *take)
    with ExitStack() as stack:
        for container in (old, new):
            stack.enter_context(serving(stack.enter_context(inside(box, container)), 7, container, "0.0.0.0"))
        assert asked(box.machine, box.host, PORT) == old
        kept = stack.enter_context(talking(box.machine, STREAM, box.host, PORT))
        kept.sendall(b"?\n")
        with load((box.machine, box.host, PORT, 1), (box.namespace, "127.0.0.1", PORT, 1)) as clients:
            for pair in ((new, old), (old, new), (new, old)):
                box("app-end", "take-over", *pair, *take)
        assert [failure for client in clients for failure in client.failures] == []
        assert asked(box.machine, box.host, PORT) == new
        assert kept.recv(100).decode().strip() == old
        rules(box, "nft", "one")
        if mode == "honour":
            with opened(box.machine, STREAM) as other:
                other.bind((box.more, 0))
                other.settimeout(3)
                other.connect((box.host, PORT))
                other.sendall(b"?\n")
                assert other.recv(100).decode().strip() == new
    box("rm", "-f", old, new)
    left = [line for line in box.run("nft", "list", "ruleset").splitlines() if str(PORT) in line]
    assert [line for line in left if "dport" not in line and "expires" not in line] == []
    box.firewall("")


def test_datagrams(cli: Cli, busybox: str) -> None:
    """A flow stays where it is until the old one has been waited for; then it goes to the new one."""
    port = free_port()
    take = ("--name", "dns", "--publish", f"{port}:7/udp")
    old, new = started(cli, "dns-r1"), started(cli, "dns-r2")
    cli("app-end", "take-over", old, "-", *take)
    with machine(8) as outside, inside(cli, old) as first, inside(cli, new) as second, ExitStack() as stack:
        server = stack.enter_context(opened(second, DATAGRAM))
        server.bind(("0.0.0.0", 7))
        with answering(first, DATAGRAM, 7):
            client = stack.enter_context(talking(outside.namespace, DATAGRAM, outside.host, port))
            client.send(b"?")
            assert client.recv(100).decode() == outside.address
            cli("app-end", "take-over", new, old, *take)
            client.send(b"?")
            assert client.recv(100).decode() == outside.address
        assert json.loads(cli("app-end", "drain", old).out) == {"left": 0}
        client.send(b"new?")
        assert server.recvfrom(100)[0] == b"new?"


def test_a_routed_network(cli: Cli, busybox: str) -> None:
    """What is published is reached there by the containers' own addresses, too."""
    cli("network", "create", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "far")
    port = free_port()
    take = ("--name", "web", "--publish", f"{port}:7")
    old, new = (started(cli, name, "--network", "far") for name in ("web-r1", "web-r2"))
    cli("app-end", "take-over", old, "-", *take)
    with machine(9) as outside, inside(cli, old) as first, inside(cli, new) as second:
        addresses = [
            cli("inspect", "-f", "{{.NetworkSettings.Networks.far.IPAddress}}", one).out.strip() for one in (old, new)
        ]
        with answering(first, STREAM, 7), answering(second, STREAM, 7):
            answers = [ask(outside.namespace, STREAM, one, 7, wait=0.5) for one in addresses]
            assert answers == [outside.address, "TimeoutError"]
            cli("app-end", "take-over", new, old, *take)
            answers = [ask(outside.namespace, STREAM, one, 7, wait=0.5) for one in addresses]
            assert answers == ["TimeoutError", outside.address]
