"""``app-end take-over``: ports, names and aliases pass to another container; nobody who asks meanwhile is refused."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from subprocess import run

import pytest

from tests.conftest import CHECKOUT, Cli, free_port
from tests.e2e.load import load, serving
from tests.e2e.test_own_networks import looked_up
from tests.e2e.traffic import HERE, Machine, eventually, inside, machine, opened, talking


@pytest.fixture(scope="module")
def outside() -> Iterator[Machine]:
    with machine(7) as made:
        yield made


@pytest.fixture(autouse=True)
def tidy(cli: Cli, busybox: str) -> Iterator[None]:
    yield
    if left := cli("ps", "-aq").out.split():
        cli("rm", "-f", *left)
    cli("network", "prune", "-f")


def ports_of(cli: Cli, name: str) -> list[str]:
    """``ps``'s column, without what is on which address."""
    row = cli("ps", "-a", "--filter", f"name=^{name}$", "--format", "{{.Ports}}").out.strip()
    return sorted({one.rpartition("->")[0].rpartition(":")[2] for one in row.split(", ") if "->" in one})


def names(cli: Cli) -> list[str]:
    return sorted(cli("ps", "-a", "--format", "{{.Names}}").lines)


def started(cli: Cli, name: str, *words: object) -> str:
    """A container that runs; its ID."""
    return cli("run", "-d", "--name", name, *words, "busybox", "sleep", "1000").out.strip()


def asked(namespace: int, address: str, port: int) -> str:
    with talking(namespace, 1, address, port, wait=3) as connection:
        connection.sendall(b"?\n")
        return connection.recv(100).decode().strip()


@pytest.mark.parametrize("network", ["bridge", "six"])
def test_nobody_is_refused(cli: Cli, outside: Machine, network: str) -> None:
    if network == "six":
        cli("network", "create", "--ipv6", "six")
    port = free_port(2)
    take = ("--name", "app-web-1", "--publish", f"{port}:7", "--publish", f"127.0.0.1:{port + 1}:7")
    clients = [(outside.namespace, outside.host, port, 1), (outside.namespace, outside.host, port, 30),
               (HERE, "127.0.0.1", port, 1), (HERE, "127.0.0.1", port + 1, 10)]  # fmt: skip
    if network == "six":
        clients += [(outside.namespace, outside.host6, port, 1), (HERE, "::1", port, 1), (HERE, "::1", port, 20)]
    with ExitStack() as servers:

        def incoming(number: int) -> tuple[str, ExitStack]:
            found = started(cli, f"app-web-1-r{number}", "--network", network)
            server = servers.enter_context(ExitStack())
            there = server.enter_context(inside(cli, found))
            server.enter_context(serving(there, 7, str(number)))
            return found, server

        old, server = incoming(1)
        cli("app-end", "take-over", "app-web-1-r1", "-", *take)
        with load(*clients) as made:
            time.sleep(0.3)
            for number in range(2, 5):
                new, following = incoming(number)
                cli("app-end", "take-over", new, old, *take)
                assert json.loads(cli("app-end", "drain", old, "--timeout", "10").out) == {"left": 0}
                server.close()
                cli("rm", "-f", old)
                old, server = new, following
            time.sleep(0.3)
        assert [failure for client in made for failure in client.failures] == []
        for client in made:
            assert list(client.answers) == ["1", "2", "3", "4"], client.what
            assert sum(client.answers.values()) > 50, client.what
    assert names(cli) == ["app-web-1"]


def test_what_is_open_stays_open_and_is_waited_for(cli: Cli, outside: Machine) -> None:
    cli("network", "create", "--ipv6", "six")
    port = free_port()
    take = ("--name", "web", "--publish", f"{port}:7")
    old, new = started(cli, "web-r1", "--network", "six"), started(cli, "web-r2", "--network", "six")
    cli("app-end", "take-over", old, "-", *take)
    with ExitStack() as stack:
        for container in (old, new):
            there = stack.enter_context(inside(cli, container))
            stack.enter_context(serving(there, 7, "old" if container == old else "new"))
        ways = [
            (outside.namespace, outside.host),
            (outside.namespace, outside.host6),
            (HERE, "127.0.0.1"),
            (HERE, "::1"),
        ]
        downloads = [stack.enter_context(talking(namespace, 1, address, port)) for namespace, address in ways]
        for _ in range(2):
            for one in downloads:
                one.sendall(b"?\n")
                assert one.recv(100) == b"old\n"
            cli("app-end", "take-over", new, old, *take)
            assert [asked(*way, port) for way in ways] == ["new"] * 4
        began = time.monotonic()
        assert json.loads(cli("app-end", "drain", old, "--timeout", "1").out) == {"left": 4}
        assert time.monotonic() - began < 3
        for one in downloads:
            one.sendall(b"?\n")
            assert one.recv(100) == b"old\n"
            one.close()
        assert json.loads(cli("app-end", "drain", old, "--timeout", "10").out) == {"left": 0}


def test_restarts_keep_it(cli: Cli) -> None:
    port, other = free_port(), free_port()
    cli("network", "create", "one")
    old = started(cli, "web", "--network", "one", "--network-alias", "shop", "-p", f"{port}:7", "-p", f"{other}:8")
    new = started(cli, "web-r2", "--network", "one")
    started(cli, "mate", "--network", "one")
    words = ("web-r2", "web", "--name", "web", "--publish", f"{port}:7", "--publish", "9", "--alias", "one=shop")
    for _ in range(2):  # the second time it does nothing
        assert json.loads(cli("app-end", "take-over", *words).out) == {"id": new, "name": "web"}
        assert names(cli) == ["mate", "web", f"web-old-{old[:12]}"]
        assert ports_of(cli, f"web-old-{old[:12]}") == []
        found = ports_of(cli, "web")
        assert str(port) in found and str(other) not in found and len(found) == 2
    address = cli("inspect", "-f", "{{.NetworkSettings.Networks.one.IPAddress}}", "web").out.strip()
    assert looked_up(cli, "mate", "shop") == looked_up(cli, "mate", "web") == address
    cli("restart", "-t", "0", "web", old)
    assert str(port) in ports_of(cli, "web") and ports_of(cli, f"web-old-{old[:12]}") == []
    assert looked_up(cli, "mate", "shop") == looked_up(cli, "mate", "web") == address
    cli("kill", "web")  # it gives back what it got
    cli("wait", "web")
    assert ports_of(cli, "web") == []
    assert started(cli, "heir", "-p", f"{port}:7")


def test_a_name_leads_nowhere_new_before(cli: Cli) -> None:
    cli("network", "create", "one")
    labels = ("--label", "lxcwrap.app=a", "--label", "lxcwrap.service=web", "--label", "lxcwrap.slot=1")
    words = ("--network", "one", "--hostname", "web", *labels)
    started(cli, "mate", "--network", "one")
    old = started(cli, "a-web-1", *words, "--network-alias", "shop")
    before = looked_up(cli, "mate", "web")
    new = started(cli, "a-web-1-r2", *words)
    assert looked_up(cli, "mate", "web") == looked_up(cli, "mate", "shop") == before != ""
    after = looked_up(cli, "mate", "a-web-1-r2")
    cli("app-end", "take-over", new, old, "--name", "a-web-1", "--alias", "one=shop")
    assert looked_up(cli, "mate", "web") == looked_up(cli, "mate", "shop") == looked_up(cli, "mate", "a-web-1") == after
    assert looked_up(cli, "mate", "a-web-1-r2") == ""


def test_a_container_reaches_itself_by_its_published_port(cli: Cli, outside: Machine) -> None:
    """At once, when its policy starts it again, and when it is started anew."""
    port = free_port()
    until = "while [ ! -e /end ]; do sleep 0.05; done; rm /end"
    new = cli("run", "-d", "--name", "web-r1", "--restart", "always", "busybox", "sh", "-c", until).out.strip()
    cli("app-end", "take-over", new, "-", "--name", "web", "--publish", f"{port}:7")
    hairpin = Path(f"/sys/class/net/lxv{new[:12]}/brport/hairpin_mode")

    def works() -> None:
        with inside(cli, new) as there, serving(there, 7, "me"):
            assert asked(there, outside.host, port) == "me" and hairpin.read_text() == "1\n"

    works()
    cli("exec", new, "touch", "/end")
    eventually(lambda: cli("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", new).out, "1 running\n")
    works()
    cli("restart", "-t", "0", new)
    works()


def test_containers_on_the_hosts_network_are_waited_for(cli: Cli) -> None:
    """Only what they listen on themselves counts."""
    with opened(HERE, 1) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with talking(HERE, 1, *server.getsockname()):
            cli("run", "-d", "--name", "web", "--network", "host", "busybox", "sleep", "1000")
            began = time.monotonic()
            assert json.loads(cli("app-end", "drain", "web", "--timeout", "10").out) == {"left": 0}
            assert time.monotonic() - began < 5


def test_what_cannot_be_is_refused_and_changes_nothing(cli: Cli) -> None:
    port, taken = free_port(), free_port()
    old = started(cli, "web", "-p", f"{port}:7")
    new = started(cli, "web-r2")
    started(cli, "other", "-p", f"{taken}:7")
    before = names(cli)

    def refused(*words: object, code: int = 1) -> str:
        done = cli("app-end", "take-over", *words, check=False)
        assert done.code == code and done.err.count("\n") == 1, done
        assert names(cli) == before and str(port) in ports_of(cli, "web") and ports_of(cli, "web-r2") == []
        return done.err

    assert "already allocated to container other" in refused(new, old, "--name", "web", "--publish", f"{taken}:7")
    assert "in use by container" in refused(new, old, "--name", "other")
    assert "no such container" in refused(new, "nobody", "--name", "web")
    assert "not on network two" in refused(new, old, "--name", "web", "--alias", "two=x")
    with opened(HERE, 1) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        number = server.getsockname()[1]
        assert "another program" in refused(new, old, "--name", "web", "--publish", f"127.0.0.1:{number}:7")
    cli("stop", "-t", "0", new)
    assert "is not running" in refused(new, old, "--name", "web", "--publish", f"{port}:7")


def test_both_stopped(cli: Cli) -> None:
    """As in an update in which the old one is stopped first: what is stored counts at the next start."""
    port = free_port()
    old = started(cli, "web", "-p", f"{port}:7")
    cli("stop", "-t", "0", old)
    new = cli("create", "--name", "web-r2", "busybox", "sleep", "1000").out.strip()
    cli("app-end", "take-over", new, old, "--name", "web", "--publish", f"{port}:7")
    cli("start", old, new)
    assert ports_of(cli, "web") == [str(port)] and ports_of(cli, f"web-old-{old[:12]}") == []


def test_killed_at_any_step(cli: Cli, outside: Machine, tmp_path: Path) -> None:
    """The same words again complete it, and so does a look at the application."""
    cli("network", "create", "--ipv6", "six")
    port, killed, halfway = free_port(), [], []
    started(cli, "mate", "--network", "six")
    ways = [(outside.namespace, outside.host), (outside.namespace, outside.host6), (HERE, "::1")]
    old, calls = started(cli, "web", "--network", "six", "-p", f"{port}:7"), 0
    for number, share in enumerate((0, 0.2, 0.4, 0.43, 0.47, 0.54, 0.6, 0.8)):  # what is stored is so at about 0.4
        with ExitStack() as stack:
            new = started(cli, f"web-r{number}", "--network", "six")
            for container in (old, new):
                there = stack.enter_context(inside(cli, container))
                stack.enter_context(serving(there, 7, container))
            words = ["app-end", "take-over", f"web-r{number}", "web", "--name", "web", "--publish", f"{port}:7",
                     "--alias", "six=shop"]  # fmt: skip
            role, log = ("command" if calls else "-"), tmp_path / "log"
            argv = [
                sys.executable,
                f"{CHECKOUT}/tests/crash/stepping.py",
                str(log),
                role,
                str(int(share * calls)),
                "--",
            ]
            run([*argv, *cli.argv(*words)], env=cli.environment, check=True, timeout=60, capture_output=True)
            found = json.loads(log.read_text())
            calls = calls or len(found["calls"]["command"])
            killed += [found["killed"]] if found["killed"] else []
            with closing(sqlite3.connect(f"{cli.root}/state.db")) as db:
                halfway += [row[0] for row in db.execute("SELECT incoming FROM take_overs WHERE pending")]
            assert {asked(*way, port) for way in ways} <= {old, new}, "one of the two serves"
            if number % 2:
                assert json.loads(cli(*words).out)["id"] == new
            else:
                cli("app-end", "observe", "web")
                cli(*words)
            assert [asked(*way, port) for way in ways] == [new] * 3
            address = cli("inspect", "-f", "{{.NetworkSettings.Networks.six.IPAddress}}", "web").out.strip()
            assert looked_up(cli, "mate", "shop") == looked_up(cli, "mate", "web") == address
            assert names(cli) == ["mate", "web", f"web-old-{old[:12]}"]
        cli("rm", "-f", old)
        old = new
    assert len(killed) == 7 and len(halfway) >= 3, (killed, halfway)
