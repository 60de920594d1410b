"""``port --audit``: what it says is what happens, by real traffic between a host of its own and another machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lxcwrap.model.paths import Paths
from tests.boxed import Box
from tests.e2e.test_firewall import NFT, UFW, ask
from tests.e2e.test_network import container
from tests.e2e.traffic import DATAGRAM, STREAM, answering, inside

FORWARD = """\
table inet filter {
  chain forward { type filter hook forward priority filter; policy drop; ct state established,related accept; }
}
"""
OPEN = NFT.replace("LINES", "meta l4proto { tcp, udp } th dport 8080-8081 accept")
REFUSING = NFT.replace("LINES", "")
ONE = NFT.replace("LINES", f"ip saddr {Box.more} tcp dport 8080 accept")
NO_WAY_IN = (
    "table inet filter { chain raw { type filter hook prerouting priority raw; iifname ext0 tcp dport 8080 drop; }; }"
)
NO_ROUTE = "\n".join(line for line in UFW.replace("LINES\n", "").splitlines() if "BRIDGE" not in line) + "\n"
FIREWALLS = {
    "none": "",
    "nft": REFUSING,
    "nft open": OPEN,
    "nft one": ONE,
    "nft forward": FORWARD,
    "nft raw": NO_WAY_IN,
    "ufw": UFW.replace("LINES\n", ""),
    "ufw one": UFW.replace("LINES", f"-A ufw-user-input -s {Box.more}/32 -p tcp --dport 8080 -j ACCEPT"),
    "ufw without a route": NO_ROUTE,
}


@pytest.fixture(autouse=True)
def fresh(box: Box) -> Iterator[None]:
    yield
    box.firewall("")
    box.settings.write_text("")
    box("run", "--rm", "busybox", "true")


def audited(box: Box, *names: str) -> dict[str, dict[str, Any]]:
    """The rows by port."""
    lines = box("port", "--audit", "--format", "json", *names).lines
    return {row["Port"]: row for row in map(json.loads, lines)}


def tried(row: dict[str, Any], address: str) -> bool:
    """Whether somebody of that address reaches it (or whose subnet is tried in their place)."""
    found = [one["Reached"] for one in row["Tried"] if one["Address"] == address]
    found += [one["Reached"] for one in row["Tried"] if one["Kind"] == "neighbour"]
    assert found, row
    return bool(found[0])


@pytest.mark.parametrize("mode", ["own", "honour"])
@pytest.mark.parametrize("firewall", FIREWALLS)
def test_what_is_said_is_what_happens(box: Box, firewall: str, mode: str) -> None:
    box.settings.write_text(f"firewall: {mode}\n")
    words = ["-p", "8080:7", "-p", "8081:7/udp", "-p", f"{box.host}:8082:7", "-p", "127.0.0.1:8083:7"]
    with (
        container(box, *words, "busybox", "sleep", "100") as made,
        inside(box, made) as there,
        answering(there, STREAM, 7),
        answering(there, DATAGRAM, 7),
    ):
        box.firewall(FIREWALLS[firewall].replace("BRIDGE", Paths(box.root).bridge))
        rows = audited(box, made)
        assert len(rows) == 4 and not any(row["Problems"] for row in rows.values())
        asked = [(row, address) for row in rows.values() for address in (box.address, box.more, "")]
        with ThreadPoolExecutor(len(asked)) as crowd:
            list(crowd.map(lambda one: check_against_traffic(box, *one), asked))


def check_against_traffic(box: Box, row: dict[str, Any], address: str) -> None:
    """``address``: of the other machine; '' is the host itself."""
    kind = DATAGRAM if row["Protocol"] == "udp" else STREAM
    target = box.host if row["HostIP"] == "0.0.0.0" else row["HostIP"]
    if not address:
        said = ask(box.namespace, kind, target, row["HostPort"], wait=0.5)
        here = [one["Reached"] for one in row["Tried"] if one["Kind"] == "host" and one["Asks"] == target]
        assert here == ["." in said], f"{row['Port']} from the host: {said}"
    elif row["HostIP"] != "127.0.0.1":
        said = ask(box.machine, kind, target, row["HostPort"], source=address)
        assert tried(row, address) is (said == address), f"{row['Port']} from {address}: {said}"


def test_what_is_said_in_words(box: Box) -> None:
    table, bridge = Paths(box.root).nft_table, Paths(box.root).bridge
    box("network", "create", "shop")
    box("network", "create", "--internal", "inner")
    box("run", "-d", "--network", "inner", "--name", "alone", "busybox", "sleep", "100")
    with container(box, "--name", "web", "--network", "bridge", "-p", "8080:80", "busybox", "sleep", "100"):
        words = ["--name", "shop", "--network", "shop", "-p", "127.0.0.1:9000:90", "busybox", "sleep", "100"]
        with container(box, *words):
            before = box.run("nft", "list", "ruleset"), box.run("ip", "-4", "address")
            out = box("port", "--audit").lines
            assert [line.split()[:2] for line in out] == [
                ["CONTAINER", "PORT"], ["shop", "127.0.0.1:9000->90/tcp"], ["web", "0.0.0.0:8080->80/tcp"],
            ]  # fmt: skip
            assert out[1].endswith("   this host")
            assert out[2].endswith(f"   this host, containers but of inner, {box.link}: 198.18.7.0/24")
            assert len({line.index(word) for line, word in zip(out, ("REACHED", "this", "this"), strict=True)}) == 1
            assert (box.run("nft", "list", "ruleset"), box.run("ip", "-4", "address")) == before, "nothing was touched"
        box.firewall(ONE)
        text = box("port", "--audit", "web").out
        assert "the host's firewall refuses this port" in text and "firewall: honour" in text
        assert max(map(len, text.splitlines())) <= 100
        box.settings.write_text("firewall: honour\n")
        box("run", "--rm", "busybox", "true")
        row = audited(box)["0.0.0.0:8080->80/tcp"]
        assert row["From"].endswith(f"{box.link}: {box.more}") and "as asked for" in row["Notes"][0]
        box.settings.write_text("")
        box("run", "--rm", "busybox", "true")
        for rules, command in (
            (FORWARD, f"nft insert rule inet filter forward oifname {bridge} ct status dnat accept"),
            (NO_ROUTE, f"ufw route allow out on {bridge} to any port 80 proto tcp"),
            (
                "*filter\n:FORWARD DROP\nCOMMIT\n",
                f"iptables -I FORWARD -o {bridge} -m conntrack --ctstate DNAT -j ACCEPT",
            ),
        ):
            box.firewall(rules)
            row = audited(box)["0.0.0.0:8080->80/tcp"]
            assert row["From"] == "this host" and command in row["Notes"][0]
            if not command.startswith("ufw"):
                box.run(*command.split())
                assert "containers" in audited(box)["0.0.0.0:8080->80/tcp"]["From"], "and it does let it through"
        box.firewall("")
        box.run("nft", "delete", "table", "inet", table)
        text = box("port", "--audit").out
        assert "cannot tell: lxcwrap's rules are not there" in text
        box("run", "--rm", "busybox", "true")
    box("rm", "-f", "alone")
    box("network", "rm", "shop")
    box("network", "rm", "inner")


def test_containers_on_the_hosts_network(box: Box) -> None:
    script = "httpd -p 80; httpd -p 127.0.0.1:81; sleep 100"
    box.firewall(NFT.replace("LINES", f"ip saddr {box.more} tcp dport 80 accept"))
    with container(box, "--name", "direct", "--network", "host", "busybox", "sh", "-c", script):
        for _ in range(50):
            rows = audited(box, "direct")
            if len(rows) >= 3:
                break
        assert rows["0.0.0.0:80/tcp"]["From"] == f"this host, {box.link}: {box.more}"
        assert rows["127.0.0.1:81/tcp"]["From"] == "this host"
        assert "[::]:80/tcp" in rows


def test_what_cannot_be_tried_is_named(box: Box) -> None:
    box.run("nft", "add", "table", "bridge", "low", "{ chain x { type filter hook forward priority 0; drop; }; }")
    words = ["--name", "web", "-p", "8080:80", "-p", "8081:81/sctp", "busybox", "sleep", "100"]
    with container(box, *words), container(box, "--name", "none", "--network", "none", "busybox", "sleep", "100"):
        rows = audited(box)
        assert list(rows) == ["0.0.0.0:8080->80/tcp", "0.0.0.0:8081->81/sctp"], "nothing of the one without a network"
        assert rows["0.0.0.0:8080->80/tcp"]["From"] == "perhaps everywhere"
        assert rows["0.0.0.0:8080->80/tcp"]["Problems"] == ["table bridge low: it filters below IP, which is not tried"]
        assert rows["0.0.0.0:8081->81/sctp"]["From"] == "cannot tell"
        assert "sctp is not tried" in box("port", "--audit").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--audit", "nobody"], "no such container: nobody"),
        (["--format", "json", "web"], "--format goes with --audit"),
        (["--audit", "idle"], "container idle is not running"),
        ([], "Missing argument 'CONTAINER'"),
        (["a", "80", "81"], "Got unexpected extra argument (81)"),
    ],
)
def test_what_is_refused(box: Box, words: list[str], said: str) -> None:
    box("create", "--name", "idle", "busybox", "true")
    try:
        result = box("port", *words, check=False)
        assert result.code == 1 and said in result.err and result.err.count("\n") == 1 and result.out == ""
    finally:
        box("rm", "idle")
