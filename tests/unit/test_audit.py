"""The pure parts of ``port --audit``: frames, who is asked, and the words for what was found."""

from __future__ import annotations

import struct

import pytest

from lxcwrap.actions import audit_words, sockets
from lxcwrap.cli.commands import port as port_command
from lxcwrap.kernel import firewall, frames
from lxcwrap.kernel.firewall import Table
from lxcwrap.kernel.netcopy import Address, Link, Snapshot
from lxcwrap.network import audit
from lxcwrap.network.audit import Answer, Kind, Report, Source, Target
from lxcwrap.network.trial import Outcome

IN, HOST, FORWARD, LOST = Outcome.CONTAINER, Outcome.HOST, Outcome.FORWARD, Outcome.LOST
PORT = Target("0.0.0.0", 8080, "tcp")
HERE = Source(Kind.HOST, "", "127.0.0.1", "this host")
WEB, SHOP = (Source(Kind.CONTAINERS, f"lxn{name}", "10.9.0.9", name, "10.9.0.1") for name in ("web", "shop"))
NEAR = Source(Kind.NEIGHBOUR, "eth0", "192.0.2.99", "192.0.2.0/24", "192.0.2.2")
FAR = Source(Kind.ELSEWHERE, "eth0", "198.51.100.7", "elsewhere", "192.0.2.2")
ADMIN = Source(Kind.NAMED, "eth0", "192.0.2.7", "192.0.2.7", "192.0.2.2")
LAN = Source(Kind.NEIGHBOUR, "eth1", "10.0.0.9", "10.0.0.0/24", "10.0.0.1")
SOURCES = (HERE, WEB, SHOP, NEAR, FAR, ADMIN, LAN)


def answers(*reached: Source, now: Outcome = IN, host: Outcome = HOST) -> list[Answer]:
    return [Answer(one, now if one in reached else LOST, host, IN) for one in SOURCES]


@pytest.mark.parametrize(
    ("reached", "said"),
    [
        (SOURCES, "everywhere"),
        ((), "nowhere"),
        ((HERE,), "this host"),
        ((HERE, WEB), "this host, containers of web"),
        ((HERE, WEB, SHOP), "this host, containers"),
        ((HERE, WEB, SHOP, LAN), "this host, containers, eth1: 10.0.0.0/24"),
        ((HERE, NEAR, FAR, ADMIN), "this host, eth0: all"),
        ((HERE, NEAR, FAR), "this host, eth0: all but not 192.0.2.7"),
        ((NEAR, ADMIN), "eth0: 192.0.2.0/24"),
        ((FAR,), "eth0: other networks"),
        ((ADMIN,), "eth0: 192.0.2.7"),
    ],
)
def test_from_where_in_words(reached: tuple[Source, ...], said: str) -> None:
    assert audit_words.reached_from(answers(*reached), audit_words.is_reached(PORT)) == said


def report(*foreign: Table, asks: bool = False) -> Report:
    return Report({}, (), asks, False, {PORT: foreign})


def notes(found: list[Answer], *foreign: Table, asks: bool = False) -> str:
    return " ".join(audit_words.notes(PORT, 80, "lxcw0", found, report(*foreign, asks=asks)))


def test_what_is_said_of_a_port() -> None:
    assert notes(answers(*SOURCES)) == ""
    assert "refuses this port (eth0: all, eth1: 10.0.0.0/24)" in notes(answers(*SOURCES, host=LOST))
    assert "as asked for" in notes(answers(HERE, host=LOST), asks=True)
    assert "before it is forwarded" in notes(answers(HERE))
    dropped = [Answer(one, FORWARD, HOST, IN) for one in SOURCES]
    assert "drops what is forwarded to the container (everywhere)" in notes(dropped)
    assert not audit_words.notes(Target("0.0.0.0", 22, "tcp", published=False), 0, "", dropped, report())


@pytest.mark.parametrize(
    ("table", "command"),
    [
        (
            ("ip", "filter", ":ufw-user-forward - [0:0]\n", "/usr/sbin/iptables-restore"),
            "ufw route allow out on lxcw0 to any port 80 proto tcp",
        ),
        (
            ("ip", "filter", ":FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n", "/usr/sbin/iptables-restore"),
            "iptables -I DOCKER-USER -o lxcw0 -m conntrack --ctstate DNAT -j ACCEPT",
        ),
        (
            ("ip", "filter", ":FORWARD DROP [0:0]\n", "/usr/sbin/iptables-legacy-restore"),
            "iptables-legacy -I FORWARD -o lxcw0 -m conntrack --ctstate DNAT -j ACCEPT",
        ),
        (
            ("inet", "mine", "table inet mine {\n\tchain fwd {\n\t\ttype filter hook forward priority 0; }\n}", ""),
            "nft insert rule inet mine fwd oifname lxcw0 ct status dnat accept",
        ),
        (("ip", "mangle", "", "/usr/sbin/iptables-restore"), "an accept for what leaves by lxcw0"),
        (("ip6", "filter", ":FORWARD DROP [0:0]\n", "ip6tables-restore"), "an accept for what leaves by lxcw0"),
    ],
)
def test_what_would_let_it_through(table: tuple[str, str, str, str], command: str) -> None:
    assert audit_words.allowing([Table(*table)], "lxcw0", "tcp", 80, 4).startswith(command)


def host() -> Snapshot:
    links = {name: Link(number, name, b"\x02" * 6, 1500) for number, name in enumerate(("lo", "eth0", "lxcw0"), 1)}
    addresses = tuple(
        Address(family, text, prefix, link)
        for family, text, prefix, link in (
            (2, "127.0.0.1", 8, "lo"), (2, "192.0.2.2", 24, "eth0"), (10, "fd00::2", 64, "eth0"),
            (10, "fe80::1", 64, "eth0"), (2, "10.99.0.1", 16, "lxcw0"), (2, "203.0.113.5", 32, "eth0"),
        )
    )  # fmt: skip
    default = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + struct.pack("=HHi", 8, 4, 2)
    return Snapshot(links, addresses, (default,), (), {})


def test_who_is_asked() -> None:
    found = list(audit._sources(host(), {"lxcw0": "bridge"}))
    assert [(one.kind.value, one.link, one.about, one.to) for one in found] == [
        ("neighbour", "eth0", "192.0.2.0/24", "192.0.2.2"),
        ("elsewhere", "eth0", "elsewhere", "192.0.2.2"),
        ("neighbour", "eth0", "fd00::/64", "fd00::2"),
        ("containers", "lxcw0", "bridge", "10.99.0.1"),
    ]
    assert all(one.address != one.to for one in found)


def test_addresses_that_rules_name() -> None:
    text = (
        "-A x -s 198.51.100.9/32 -j ACCEPT\nip saddr { 10.1.0.0/16, 192.0.2.0/24, 192.0.2.2, 127.0.0.1 } accept\n"
        "ip6 saddr fd00::7 drop # 12:34:56, aa:bb:cc:dd:ee:ff, 999.1.1.1, 224.0.0.1, 255.255.255.255, 1.2.3.4.5"
    )
    found = list(audit._named(host(), {"lxcw0": "bridge"}, (Table("inet", "x", text),)))
    assert [one.about for one in found] == ["198.51.100.9", "10.1.0.0/16", "fd00::7"]
    assert {one.link for one in found} == {"eth0"} and found[1].address == "10.1.0.1"


def test_a_port_is_asked_for_by_its_own_kind_of_address() -> None:
    assert audit._destinations(PORT, NEAR) == ["192.0.2.2"]
    assert audit._destinations(Target("127.0.0.1", 1, "tcp"), NEAR) == ["127.0.0.1"]
    assert audit._destinations(Target("192.0.2.2", 1, "tcp"), HERE) == []
    assert audit._destinations(Target("::", 1, "tcp"), NEAR) == []
    own = Source(Kind.HOST, "", "::1", "this host")
    assert audit._destinations(Target("::", 1, "tcp"), own) == []
    assert audit._destinations(Target("::", 1, "tcp", published=False), own) == ["::1"]


@pytest.mark.parametrize(("source", "target"), [("192.0.2.7", "192.0.2.2"), ("fd00::7", "fd00::2")])
@pytest.mark.parametrize(("protocol", "number", "at"), [("tcp", 6, 16), ("udp", 17, 6)])
def test_frames_add_up(source: str, target: str, protocol: str, number: int, at: int) -> None:
    packet = frames.frame(b"\x02" * 6, protocol, source, 20000, target, 8080)[14:]
    size = 40 if ":" in target else 20
    body = packet[size:]
    if size == 20:
        assert frames.checksum(packet[:20]) == 0 and struct.unpack_from("!H", packet, 2)[0] == len(packet)
    ends = packet[size - (32 if size == 40 else 8) : size]
    assert struct.unpack_from("!HH", body) == (20000, 8080)
    assert frames.checksum(frames._pseudo(ends, number, len(body)) + body) == 0
    assert struct.unpack_from("!H", body, at)[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tcp dport 9 queue num 3", True),
        ("tcp dport 9 queue flags bypass to 3", True),
        ("-A INPUT -j NFQUEUE --queue-num 3", True),
        ('comment "the queue is long"', False),
    ],
)
def test_packets_for_programs(text: str, found: bool) -> None:
    assert bool(firewall._QUEUE.search(text)) is found


def test_the_report_fits_a_page() -> None:
    ports = ["0.0.0.0:80->80/tcp", "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535->65535/tcp", "0.0.0.0:8/udp"]
    froms = ["everywhere", "this host, containers, eth0: all", "this host, " * 12 + "eth0: all"]
    rows = [
        {"Container": "name" * 10, "Port": port, "From": text, "Notes": ["word " * 40]}
        for port, text in zip(ports, froms, strict=True)
    ]
    lines = port_command._report(rows, ("table ip filter: no",))
    assert max(map(len, lines)) <= 100 and lines[0].split() == ["CONTAINER", "PORT", "REACHED", "FROM"]
    column = lines[0].index("REACHED")
    assert lines[1][column:] == "everywhere" and lines[3][column:] == "this host, containers, eth0: all"
    assert all(line[:column].strip() == "" for line in lines[5:7])
    assert lines[-1] == "cannot tell: table ip filter: no" and "word word" in lines[-4]


def test_addresses_of_sockets() -> None:
    assert sockets.address_of("0100007F") == "127.0.0.1"
    assert sockets.address_of("00000000000000000000000001000000") == "::1"
