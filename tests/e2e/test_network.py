"""Networks on the real kernel: who reaches a published port and who does not, addresses, names, what is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lxcwrap.model.paths import Paths
from tests.conftest import Cli, free_port
from tests.e2e.traffic import DATAGRAM, HERE, STREAM, Machine, answering, ask, inside, machine, run

WEB = "mkdir -p /w; echo hello >/w/index.html; exec httpd -f -p 80 -h /w"


@pytest.fixture(scope="module")
def outside() -> Iterator[Machine]:
    with machine() as made:
        yield made


def row_counts(cli: Cli, *ids: str) -> dict[str, int]:
    marks = ",".join("?" * len(ids))
    with sqlite3.connect(f"file:{Paths(cli.root).database}?mode=ro", uri=True) as db:
        return {
            table: db.execute(f"SELECT count(*) FROM {table} WHERE container_id IN ({marks})", ids).fetchone()[0]
            for table in ("leases", "published_ports")
        }


def table(cli: Cli) -> str:
    return run("nft", "list", "table", "inet", Paths(cli.root).nft_table)


def pair_of(container_id: str) -> str:
    return f"lxv{container_id[:12]}"


def forget_network(cli: Cli) -> None:
    """No bridge and no rules, as before the first use or after a boot: the next start makes them."""
    run("nft", "delete", "table", "inet", Paths(cli.root).nft_table)
    run("ip", "link", "delete", Paths(cli.root).bridge)


@contextmanager
def container(cli: Cli, *words: object) -> Iterator[str]:
    """A running container; its ID."""
    made = cli("run", "-d", *words).out.strip()
    try:
        yield made
    finally:
        cli("rm", "-f", made, check=False)


# --- published ports ---------------------------------------------------------------------------------------------


def test_a_published_port_is_reached_from_everywhere(cli: Cli, busybox: str, outside: Machine) -> None:
    tcp, udp = free_port(), free_port()
    with (
        container(cli, "-p", f"{tcp}:7", "-p", f"{udp}:7/udp", busybox, "sleep", "100") as server,
        container(cli, busybox, "sleep", "100") as other,
        inside(cli, server) as there,
        inside(cli, other) as neighbour,
        answering(there, STREAM, 7),
        answering(there, DATAGRAM, 7),
    ):
        gateway = cli("inspect", "-f", "{{.NetworkSettings.Gateway}}", server).out.strip()
        for kind, port in ((STREAM, tcp), (DATAGRAM, udp)):
            assert ask(outside.namespace, kind, outside.host, port) == outside.address, "its own address is seen"
            assert ask(HERE, kind, outside.host, port) == outside.host
            assert ask(HERE, kind, "127.0.0.1", port) == gateway
            assert ask(neighbour, kind, outside.host, port) == gateway
            assert ask(there, kind, outside.host, port) == gateway, "from itself, by the host's address"
            assert ask(there, kind, gateway, port) == gateway


def test_a_container_reaches_itself_by_the_hosts_address_after_a_restart(cli: Cli, busybox: str) -> None:
    port = free_port()
    script = f"{WEB.replace('exec httpd -f', 'httpd')}; sleep 100"
    with container(
        cli, "-p", f"{port}:80", "--name", "mirror", busybox, "sh", "-c", script.replace("mkdir", "mkdir -p")
    ):
        gateway = cli("inspect", "-f", "{{.NetworkSettings.Gateway}}", "mirror").out.strip()
        cli("restart", "-t", "0", "mirror")
        fetch = (
            f"for i in 1 2 3 4 5; do timeout 1 wget -qO- http://{gateway}:{port}/ 2>/dev/null && exit; sleep 0.1; done"
        )
        assert cli("exec", "mirror", "sh", "-c", fetch).out == "hello\n"


@pytest.mark.parametrize("namespace", ["private", "host"])
@pytest.mark.parametrize("network", ["bridge", "none"])
def test_any_user_may_serve_a_low_port_and_send_pings(cli: Cli, busybox: str, namespace: str, network: str) -> None:
    script = "httpd -p 80 -h /etc && wget -qO- http://127.0.0.1/hostname && cat /proc/sys/net/ipv4/ping_group_range"
    words = ["--userns", namespace, "--network", network, "-u", "nobody", "-h", "low"]
    served, groups = cli("run", "--rm", *words, busybox, "sh", "-c", script).lines
    assert (served, groups) == ("low", {"private": "0\t65535", "host": "0\t2147483647"}[namespace])


def test_sysctls_that_are_asked_for_win(cli: Cli, busybox: str) -> None:
    given = {"net.ipv4.ip_unprivileged_port_start": "81", "net.ipv4.ping_group_range": "5\t6"}
    words = [f"--sysctl={key}={value}".replace("\t", " ") for key, value in given.items()]
    paths = [f"/proc/sys/{key.replace('.', '/')}" for key in given]
    assert cli("run", "--rm", *words, busybox, "cat", *paths).lines == list(given.values())
    assert cli("run", "--rm", words[1], busybox, "cat", *paths).lines == ["0", "5\t6"]


def test_an_address_to_bind_to(cli: Cli, busybox: str, outside: Machine) -> None:
    local, public = free_port(), free_port()
    ports = ["-p", f"127.0.0.1:{local}:7", "-p", f"{outside.host}:{public}:7"]
    with container(cli, *ports, busybox, "sleep", "100") as server, inside(cli, server) as there, ExitStack() as stack:
        stack.enter_context(answering(there, STREAM, 7))
        assert "." in ask(HERE, STREAM, "127.0.0.1", local)
        assert ask(HERE, STREAM, outside.host, local) == "ConnectionRefusedError"
        assert ask(outside.namespace, STREAM, outside.host, local) == "ConnectionRefusedError"
        assert ask(there, STREAM, outside.host, local) == "ConnectionRefusedError"
        assert ask(outside.namespace, STREAM, outside.host, public) == outside.address
        assert ask(HERE, STREAM, "127.0.0.1", public) == "ConnectionRefusedError"


def test_ranges_and_ports_that_the_host_chooses(cli: Cli, busybox: str) -> None:
    first = free_port(3)
    words = ["-p", f"{first}-{first + 2}:7000-7002", "-p", "80", "--expose", "90/udp", "-P"]
    try:
        made = container(cli, *words, "--name", "many", busybox, "sleep", "100")
        with (
            made as server,
            inside(cli, server) as there,
            answering(there, STREAM, 7002),
            answering(there, DATAGRAM, 90),
        ):
            lines = cli("port", "many").lines
            assert [line for line in lines if line.startswith("700")] == [
                f"{7000 + number}/tcp -> 0.0.0.0:{first + number}" for number in range(3)
            ]
            assert [line.split(" -> ")[0] for line in lines] == ["80/tcp", "90/udp", "7000/tcp", "7001/tcp", "7002/tcp"]
            assert cli("port", "many", "7001").out == f"0.0.0.0:{first + 1}\n"
            chosen = int(cli("port", "many", "90/udp").out.strip().rpartition(":")[2])
            low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
            assert low <= chosen <= high
            assert "." in ask(HERE, DATAGRAM, "127.0.0.1", chosen)
            assert "." in ask(HERE, STREAM, "127.0.0.1", first + 2)
            unpublished = cli("port", "many", "81", check=False)
            assert (unpublished.code, unpublished.err) == (1, "lxcwrap: no public port '81/tcp' published for many\n")
    finally:
        assert cli("ps", "-aq").out == ""


def test_the_first_free_port_of_a_range(cli: Cli, busybox: str) -> None:
    first = free_port(3)
    words = ["-p", f"{first}-{first + 2}:80"]
    with socket.socket() as other, container(cli, "--name", "one", *words, busybox, "sleep", "100"):
        assert cli("port", "one", "80").out == f"0.0.0.0:{first}\n"
        bindings = cli("inspect", "-f", "{{json .HostConfig.PortBindings}}", "one").out
        assert json.loads(bindings) == {"80/tcp": [{"HostIp": "", "HostPort": f"{first}-{first + 2}"}]}
        other.bind(("0.0.0.0", first + 1))
        other.listen()
        with container(cli, "--name", "two", *words, busybox, "sleep", "100"):
            assert cli("port", "two", "80").out == f"0.0.0.0:{first + 2}\n"
            full = cli("run", "--rm", *words, busybox, "true", check=False)
            said = f"no tcp port between {first} and {first + 2} is free on 0.0.0.0"
            assert full.code == 125 and said in full.err


def test_where_ports_are_published_by_default(cli: Cli, busybox: str, tmp_path: Path) -> None:
    file = tmp_path / "network.yaml"
    settings = {"LXCWRAP_CONFIG_DIR": str(tmp_path)}
    file.write_text("bind: 127.0.0.1\ndns: [192.0.2.53]\ndns_search: [lan]\n")
    made = cli("run", "-d", "-p", "80", busybox, "sleep", "100", env=settings).out.strip()
    assert cli("port", made, "80").out.startswith("127.0.0.1:")
    assert cli("exec", made, "cat", "/etc/resolv.conf").out == "nameserver 192.0.2.53\nsearch lan\n"
    cli("rm", "-f", made)
    file.write_text("bind: 127.0.0.1\nports: 3\n")
    refused = cli("run", "--rm", "-p", "80", busybox, "true", env=settings, check=False)
    assert refused.code != 0 and refused.err.startswith(f"lxcwrap: {file}: unknown key 'ports'")
    assert refused.err.count("\n") == 1 and cli("ps", "-aq").out == ""


@pytest.mark.parametrize(("kind", "suffix", "tool"), [(STREAM, "tcp", "ss -ltnp"), (DATAGRAM, "udp", "ss -lunp")])
def test_one_taken_port_of_a_range_takes_none(cli: Cli, busybox: str, kind: int, suffix: str, tool: str) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == STREAM:
            other.listen()
        port = other.getsockname()[1]
        before = cli("ps", "-aq").out, table(cli)
        result = cli("run", "--rm", "-p", f"{port - 1}-{port}:7-8/{suffix}", busybox, "true", check=False)
        assert result.code == 125 and result.err == (
            f"lxcwrap: port 0.0.0.0:{port}/{suffix} is already in use by another program of this host "
            f"(choose another port; '{tool} sport = :{port}' shows the program)\n"
        )
        assert (cli("ps", "-aq").out, table(cli)) == before


def test_several_at_once_that_want_one_port(cli: Cli, busybox: str) -> None:
    port = free_port()
    started = [
        cli.popen("run", "-d", "--rm", "-p", f"{port}:80", busybox, "sleep", "100", stdout=-1, stderr=-1)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60) for process in started]
    assert sorted(process.returncode for process in started) == [0, 125, 125, 125]
    refusals = [err.decode() for _, err in said if err]
    assert len(refusals) == 3
    for line in refusals:
        assert line.count("\n") == 1 and f"port 0.0.0.0:{port}/tcp is already allocated to container" in line
    winner = next(out.decode().strip() for out, _ in said if out)
    assert cli("ps", "-aq", "--no-trunc").out.split() == [winner]
    assert table(cli).count(f"tcp . {port} :") == 1
    cli("rm", "-f", winner)
    assert f"tcp . {port} :" not in table(cli)


# --- what changes, what is left ----------------------------------------------------------------------------------


def test_other_tables_are_left_alone(cli: Cli, busybox: str) -> None:
    foreign = f"foreign{os.getpid()}"
    chain = "type nat hook prerouting priority dstnat; policy accept; tcp dport 9 dnat to 192.0.2.9:9"
    run("nft", f"table ip {foreign} {{ set kept {{ type ipv4_addr; elements = {{ 192.0.2.7 }} }}; "
               f"chain one {{ {chain}; }}; }}")  # fmt: skip
    try:
        before = run("nft", "-a", "list", "table", "ip", foreign)
        cli("run", "--rm", busybox, "true")
        forget_network(cli)
        with container(cli, "-p", "80", busybox, "sleep", "100") as made:
            assert made and run("nft", "-a", "list", "table", "ip", foreign) == before
        assert run("nft", "-a", "list", "table", "ip", foreign) == before
        tables = run("nft", "list", "tables").splitlines()
        assert [line for line in tables if Paths(cli.root).tag in line] == [f"table inet {Paths(cli.root).nft_table}"]
    finally:
        run("nft", "delete", "table", "ip", foreign)


def test_nothing_is_left_of_a_removed_container(cli: Cli, busybox: str) -> None:
    cli("run", "--rm", busybox, "true")  # the table is there from the first container on
    before = table(cli)
    made = cli("run", "-d", "-p", "80", "-p", "127.0.0.1::90/udp", busybox, "sleep", "100").out.strip()
    assert table(cli) != before and os.path.exists(f"/sys/class/net/{pair_of(made)}")
    assert row_counts(cli, made) == {"leases": 1, "published_ports": 2}
    cli("rm", "-f", made)
    assert table(cli) == before and not os.path.exists(f"/sys/class/net/{pair_of(made)}")
    assert row_counts(cli, made) == {"leases": 0, "published_ports": 0}


@pytest.mark.parametrize("next_command", [["ps", "-a"], ["run", "--rm", "-p", "80", "busybox", "true"]])
def test_nothing_is_left_of_a_killed_supervisor(cli: Cli, busybox: str, next_command: list[str]) -> None:
    before = table(cli)
    port = free_port()
    made = cli("run", "-d", "-p", f"{port}:80", busybox, "sleep", "100").out.strip()
    state = json.loads(Path(cli.root, "containers", made, "state.json").read_text())
    os.kill(state["supervisor"], signal.SIGKILL)
    for _ in range(100):
        if not os.path.exists(f"/sys/class/net/{pair_of(made)}"):
            break
        time.sleep(0.02)
    cli(*next_command)
    assert not os.path.exists(f"/sys/class/net/{pair_of(made)}")
    assert table(cli) == before and row_counts(cli, made)["published_ports"] == 0
    with container(cli, "-p", f"{port}:80", busybox, "sleep", "100"):
        cli("rm", made)
        assert f"tcp . {port} :" in table(cli), "what another has taken since is its own"
    assert row_counts(cli, made) == {"leases": 0, "published_ports": 0}


def test_many_first_starts_at_once(cli: Cli, busybox: str) -> None:
    """They make the bridge and the rules at once too."""
    cli("run", "--rm", busybox, "true")
    forget_network(cli)
    started = [cli.popen("run", "-d", "-p", "80", busybox, "sleep", "100", stdout=-1) for _ in range(8)]
    ids = [process.communicate(timeout=60)[0].decode().strip() for process in started]
    assert [process.returncode for process in started] == [0] * 8
    form = "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}}"
    found = [line.split() for line in cli("inspect", "-f", form, *ids).lines]
    assert len({address for address, _ in found}) == len({mac for _, mac in found}) == 8
    own = cli("exec", ids[0], "ip", "-4", "-o", "address", "show", "eth0").out
    assert f"inet {found[0][0]}/" in own
    assert table(cli).count("tcp . ") == 8
    cli("rm", "-f", *ids)


def test_a_flushed_table_comes_back(cli: Cli, busybox: str) -> None:
    with container(cli, "-p", "80", busybox, "sleep", "100"):
        whole = table(cli)
        run("nft", "delete", "table", "inet", Paths(cli.root).nft_table)
        cli("run", "--rm", busybox, "true")
        assert sorted(table(cli).split()) == sorted(whole.split())


# --- who reaches what --------------------------------------------------------------------------------------------


def point_loopback_at(namespace: str, gateway: str) -> None:
    """Packets for 127.0.0.0/8 go out of that namespace to the gateway, as a hostile neighbour would send them."""
    prefix = ["ip", "netns", "exec", namespace] if "/" not in namespace else ["nsenter", f"--net={namespace}"]
    run(*prefix, "ip", "address", "flush", "dev", "lo")
    run(*prefix, "ip", "route", "add", "127.0.0.0/8", "via", gateway)
    run(*prefix, "sh", "-c", "for f in all eth0; do echo 1 >/proc/sys/net/ipv4/conf/$f/route_localnet; done")


def test_nobody_reaches_the_hosts_loopback(cli: Cli, busybox: str, outside: Machine) -> None:
    paths = Paths(cli.root)
    service, published = free_port(), free_port()
    with (
        answering(HERE, STREAM, service, "127.0.0.1"),
        container(cli, "-p", f"127.0.0.1:{published}:7", busybox, "sleep", "100") as made,
        inside(cli, made) as there,
        answering(there, STREAM, 7),
    ):
        assert "." in ask(HERE, STREAM, "127.0.0.1", published)
        pid = cli("inspect", "-f", "{{.State.Pid}}", made).out.strip()
        gateway = cli("inspect", "-f", "{{.NetworkSettings.Gateway}}", made).out.strip()
        assert ask(outside.namespace, STREAM, gateway, 7, wait=0.4) == "ConnectionRefusedError"
        point_loopback_at(outside.name, outside.host)
        point_loopback_at(f"/proc/{pid}/ns/net", gateway)
        for port in (service, published):
            assert ask(outside.namespace, STREAM, "127.0.0.1", port, wait=0.4) == "TimeoutError"
            assert ask(there, STREAM, "127.0.0.1", port, wait=0.4) == "TimeoutError"
        run("nft", "flush", "chain", "inet", paths.nft_table, "guard")
        Path(f"/proc/sys/net/ipv4/conf/{outside.link}/route_localnet").write_text("1")
        try:
            assert "." in ask(there, STREAM, "127.0.0.1", service), "the packets were good: the rule kept them out"
            assert "." in ask(outside.namespace, STREAM, "127.0.0.1", service), "and these the kernel"
            assert ask(outside.namespace, STREAM, "127.0.0.1", published, wait=0.4) == "ConnectionRefusedError"
        finally:
            Path(f"/proc/sys/net/ipv4/conf/{outside.link}/route_localnet").write_text("0")
            run("ip", "-n", outside.name, "route", "delete", "127.0.0.0/8")
            forget_network(cli)


def test_other_machines_do_not_reach_what_is_not_published(cli: Cli, busybox: str, outside: Machine) -> None:
    with (
        container(cli, busybox, "sleep", "100") as made,
        inside(cli, made) as there,
        answering(there, STREAM, 7),
    ):
        address = cli("inspect", "-f", "{{.NetworkSettings.IPAddress}}", made).out.strip()
        assert "." in ask(HERE, STREAM, address, 7)
        assert ask(outside.namespace, STREAM, address, 7, wait=0.4) == "TimeoutError"


def test_a_container_goes_out_with_the_hosts_address(cli: Cli, busybox: str, outside: Machine) -> None:
    with (
        container(cli, busybox, "sleep", "100") as made,
        inside(cli, made) as there,
        answering(outside.namespace, STREAM, 7),
        answering(outside.namespace, DATAGRAM, 7),
    ):
        assert ask(there, STREAM, outside.address, 7) == outside.host
        assert ask(there, DATAGRAM, outside.address, 7) == outside.host
        assert cli("exec", "-i", made, "nc", "-w", "2", outside.address, "7", input=b"?").out == outside.host


# --- modes and names ---------------------------------------------------------------------------------------------


def test_no_network(cli: Cli, busybox: str) -> None:
    script = (
        "ls /sys/class/net; ip route; cat /etc/hosts | grep -c localhost; ip -o -4 addr show lo | grep -o 127.0.0.1/8"
    )
    assert cli("run", "--rm", "--network", "none", busybox, "sh", "-c", script).lines == ["lo", "2", "127.0.0.1/8"]


def test_the_hosts_network(cli: Cli, busybox: str) -> None:
    port = free_port()
    with answering(HERE, STREAM, port, "127.0.0.1"):
        flags = ["--network", "host", "--add-host", "there:127.0.0.1"]
        talk = ("run", "--rm", "-i", *flags, busybox, "nc", "-w", "2", "there", port)
        assert cli(*talk, input=b"?").out == "127.0.0.1"
    assert cli("run", "--rm", "--network", "host", busybox, "readlink", "/proc/self/ns/net").out.strip() == os.readlink(
        "/proc/self/ns/net"
    )


def test_another_containers_network(cli: Cli, busybox: str) -> None:
    with container(cli, "--name", "first", "-h", "firsthost", busybox, "sh", "-c", WEB):
        script = "ip -4 -o address show eth0; cat /etc/hosts /etc/resolv.conf; wget -qO- http://127.0.0.1/"
        own = cli("exec", "first", "sh", "-c", script).out
        assert own.endswith("hello\n") and "firsthost" in own
        assert cli("run", "--rm", "--network", "container:first", busybox, "sh", "-c", script).out == own
        cli("stop", "-t", "0", "first")
        late = cli("run", "--rm", "--network", "container:first", busybox, "true", check=False)
        assert late.code == 125 and "is not running" in late.err and late.err.count("\n") == 1


def test_names(cli: Cli, busybox: str) -> None:
    flags = [
        *("-h", "box", "--domainname", "example.org", "--add-host", "db:192.0.2.9", "--add-host", "up:host-gateway"),
        *("--dns", "192.0.2.53", "--dns-search", "example.net", "--dns-option", "ndots:3"),
    ]
    script = "hostname; cat /etc/resolv.conf; tail -n 3 /etc/hosts; ip -4 -o address show eth0; ip route"
    lines = cli("run", "--rm", *flags, busybox, "sh", "-c", script).lines
    address = lines[7].split()[3].partition("/")[0]
    gateway = lines[8].split()[2]
    assert lines[:7] == [
        "box",
        *("nameserver 192.0.2.53", "search example.net", "options ndots:3"),
        *(f"{address}\tbox.example.org box", "192.0.2.9\tdb", f"{gateway}\tup"),
    ]


def test_the_hosts_resolver_on_its_loopback(cli: Cli, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\nnameserver ::1\nsearch lan\n")
    alone = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"']
    argv = [*alone, str(tmp_path / "resolv.conf"), *cli.argv("run", "--rm", busybox, "cat", "/etc/resolv.conf")]
    done = subprocess.run(argv, env=cli.environment, capture_output=True, text=True, timeout=30, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert lines == ["nameserver 8.8.8.8", "nameserver 8.8.4.4", "search lan"]


def test_networks_as_users_see_them(cli: Cli, busybox: str) -> None:
    with container(cli, "--name", "seen", busybox, "sleep", "100") as made:
        shown = cli("network", "ls")
        assert shown.lines[0].split() == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
        assert [line.split()[1:] for line in shown.lines[1:]] == [
            ["bridge", "bridge", "local"], ["host", "host", "local"], ["none", "null", "local"],
        ]  # fmt: skip
        document = json.loads(cli("network", "inspect", "bridge").out)[0]
        address = cli("inspect", "-f", "{{.NetworkSettings.IPAddress}}", made).out.strip()
        prefix = document["IPAM"]["Config"][0]["Subnet"].partition("/")[2]
        assert document["Containers"][made]["IPv4Address"] == f"{address}/{prefix}"
        assert document["Options"]["com.docker.network.bridge.name"] == Paths(cli.root).bridge
    missing = cli("network", "inspect", "nope", check=False)
    assert missing.code == 1 and missing.out == "[]\n" and missing.err.startswith("lxcwrap: no such network: nope")
