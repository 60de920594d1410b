"""The pure parts of the network: port words, rules, netlink's bytes, addresses, subnets, resolv.conf."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

import pytest

from lxcwrap.errors import Conflict, UsageError
from lxcwrap.kernel import netlink, nftables
from lxcwrap.model import run_flags
from lxcwrap.model.container import ContainerConfig, Port
from lxcwrap.model.network import NetworkDefinition, parse_settings
from lxcwrap.model.paths import Paths
from lxcwrap.network import addresses, honour, plan, publish, resolv, rules, subnets
from lxcwrap.network.rules import Published
from lxcwrap.store import containers
from lxcwrap.store.database import Store

SMALL = NetworkDefinition("f" * 64, "bridge", "lxcw-test", "10.9.8.0/28", "10.9.8.1", 1500)
EVERYWHERE = Published("0.0.0.0", 8080, "tcp", "c1", 80, "10.9.8.2")
BOUND = Published("127.0.0.1", 53, "udp", "c2", 5353, "10.9.8.3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [Port(80)]),
        ("8080:80", [Port(80, "tcp", "", 8080)]),
        ("127.0.0.1:8080:80", [Port(80, "tcp", "127.0.0.1", 8080)]),
        ("127.0.0.1::80", [Port(80, "tcp", "127.0.0.1", 0)]),
        ("53:53/udp", [Port(53, "udp", "", 53)]),
        ("9000-9001:90-91", [Port(90, "tcp", "", 9000), Port(91, "tcp", "", 9001)]),
        ("90-91/sctp", [Port(90, "sctp"), Port(91, "sctp")]),
        ("0:80", [Port(80)]),
        ("127.0.0.1:0:80/udp", [Port(80, "udp", "127.0.0.1")]),
        ("9000-9002:80", [Port(80, "tcp", "", 9000, 9002)]),
    ],
)
def test_published_ports(text: str, expected: list[Port]) -> None:
    assert run_flags.ports(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "0", "65536", "80/icmp", "1-2:5-7", "9-8", ":80:", "1.2.3:80:80", "host:80:80", "80:80:80:80"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(UsageError, match="invalid port"):
        run_flags.ports(text)


def test_exposed_ports() -> None:
    assert publish.exposed_ports("80") == [(80, "tcp")]
    assert publish.exposed_ports("8000-8001/udp") == [(8000, "udp"), (8001, "udp")]


@pytest.mark.parametrize("item", ["abc", "70000/tcp", "0/tcp", "80/foo", "1-99999999999/tcp", "9-3", ""])
def test_what_an_image_exposes_wrongly_is_refused(item: str) -> None:
    with pytest.raises(UsageError):
        publish.exposed_ports(item)


def test_the_table_names_its_ports_bridge_and_subnet() -> None:
    text = rules.ruleset("lxcwrap_test", SMALL, (EVERYWHERE, BOUND))
    assert text.startswith("table inet lxcwrap_test\ndelete table inet lxcwrap_test\ntable inet lxcwrap_test {\n")
    assert "elements = { tcp . 8080 : 10.9.8.2 . 80 }" in text
    assert "elements = { 127.0.0.1 . udp . 53 : 10.9.8.3 . 5353 }" in text
    assert 'iifname "lxcw-test" ip daddr 127.0.0.0/8 drop' in text
    assert 'ip saddr 10.9.8.0/28 oifname != "lxcw-test" masquerade' in text
    assert "elements" not in rules.ruleset("lxcwrap_test", SMALL, ())


def test_the_comment_changes_with_the_rules() -> None:
    other = NetworkDefinition("f" * 64, "bridge", "lxcw-test", "10.9.9.0/28", "10.9.9.1", 1500)
    assert rules.comment(SMALL) != rules.comment(other)
    assert rules.comment(SMALL) in rules.ruleset("t", SMALL, ())


def test_map_elements() -> None:
    assert rules.by_map((EVERYWHERE, BOUND)) == {
        "anywhere": [(b"\x06\0\0\0\x1f\x90\0\0", b"\x0a\x09\x08\x02\0\x50\0\0")],
        "bound": [(b"\x7f\0\0\x01\x11\0\0\0\0\x35\0\0", b"\x0a\x09\x08\x03\x14\xe9\0\0")],
    }
    assert rules.by_map((EVERYWHERE,), checked=True) == {
        "anywhere": [(b"\x06\0\0\0\x1f\x90\0\0", b"\x0a\x09\x08\x02\0\x50\0\0")],
        "anywhere_checked": [(b"\x06\0\0\0\x1f\x90\0\0", b"")],
    }
    assert rules.by_map((BOUND,), keys_only=True) == {"bound": [(b"\x7f\0\0\x01\x11\0\0\0\0\x35\0\0", b"")]}


def test_a_table_that_asks_the_hosts_firewall(tmp_path: Path) -> None:
    store = Store(Paths(str(tmp_path / "root")))
    checks = honour.text(store, 90)
    text = rules.ruleset("t", SMALL, (EVERYWHERE, BOUND), checks)
    assert rules.HONOURS in text and rules.HONOURS not in rules.ruleset("t", SMALL, (EVERYWHERE, BOUND))
    assert "elements = { tcp . 8080 }" in text and "elements = { 127.0.0.1 . udp . 53 }" in text
    assert "timeout 90s" in text and text.count("jump checked") == 1
    comments = {rules.comment(SMALL, extra) for extra in ("", checks, honour.text(store, 60))}
    assert len(comments) == 3 and rules.comment(SMALL, checks) in text


def test_attributes_are_padded_and_read_back() -> None:
    packed = netlink.attribute(3, b"eth0\0") + netlink.nested(18, netlink.attribute(1, b"veth"))
    assert packed[:12] == struct.pack("=HH", 9, 3) + b"eth0\0\0\0\0"
    assert len(packed) == 12 + 12
    assert netlink.attributes(packed) == {3: b"eth0\0", 18: netlink.attribute(1, b"veth")}


@pytest.mark.parametrize("torn", [b"\x02\0\x01\0", b"\0" * 8, b"\x08"])
def test_torn_attributes_end_the_list(torn: bytes) -> None:
    assert netlink.attributes(torn) == {}


def test_messages_tell_their_length_and_kind() -> None:
    packed = netlink.message(16, netlink.F_CREATE | netlink.F_ACK, b"body", sequence=7)
    assert struct.unpack("=LHHLL", packed[:16]) == (20, 16, 0x405, 7, 0)
    assert packed[16:] == b"body"


def test_elements_come_in_parts_that_fit_an_attribute() -> None:
    parts = list(nftables._parts([(b"k" * 8, b"v" * 8)] * 600))
    assert [len(part) for part in parts] == [256, 256, 88]
    assert max(len(nftables._listed("t", "anywhere", part)) for part in parts) < 1 << 16


def test_addresses_are_leased_lowest_first_and_run_out(tmp_path: Path) -> None:
    store = Store(Paths(str(tmp_path / "root")))
    with store.transaction() as db:
        db.execute("INSERT INTO networks VALUES (?, 'bridge', 'bridge', '{}', 0)", (SMALL.id,))
    names = [f"{number:064x}" for number in range(13)]
    for name in names:
        config = ContainerConfig(image="x")
        containers.add(store, containers.Container(name, name[-12:], None, None, config, "vfs", None, 0.0))
    free = 16 - 2 - 1 - len(addresses.step_addresses(SMALL))  # network, broadcast, gateway, build steps
    taken = [addresses.lease(store, SMALL, name) for name in names[:free]]
    assert taken[0] == ("10.9.8.2", "02:42:0a:09:08:02")
    assert [ipaddress.IPv4Address(address) for address, _ in taken] == [
        ipaddress.IPv4Address("10.9.8.2") + number for number in range(free)
    ]
    assert addresses.lease(store, SMALL, names[0]) == taken[0], "the same as long as it exists"
    with pytest.raises(Conflict, match=r"no free address left in 10\.9\.8\.0/28"):
        addresses.lease(store, SMALL, names[free])
    containers.remove(store, names[3])
    assert addresses.lease(store, SMALL, names[free]) == taken[3]


def test_subnets_keep_off_what_is_used() -> None:
    used = [ipaddress.IPv4Network("10.99.128.0/17"), ipaddress.IPv4Network("10.100.0.1/32")]
    assert str(subnets.choose(subnets.candidates(Paths()), used)) == "10.101.0.0/16"
    with pytest.raises(Conflict, match="overlap routes of this host"):
        subnets.choose(subnets.candidates(Paths()), [ipaddress.IPv4Network("10.0.0.0/8")])


def test_resolvers_on_the_hosts_loopback_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    monkeypatch.setattr(resolv, "_HOST", str(stub))
    monkeypatch.setattr(resolv, "_SYSTEMD", str(real))
    stub.write_text("nameserver 127.0.0.53\noptions edns0\nsearch lan\n")
    assert "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch lan\noptions edns0\n" in resolv.contents(resolv.host_text())
    real.write_text("nameserver 192.0.2.53\nnameserver fe80::1%eth0\nsearch corp\n")
    assert resolv.contents(resolv.host_text()) == "nameserver 192.0.2.53\nsearch corp\n"
    assert resolv.contents(resolv.host_text(), ("1.1.1.1",), (".",), ("ndots:2",)) == (
        "nameserver 1.1.1.1\noptions ndots:2\n"
    )


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=10.0.0.1", ("db", "10.0.0.1")),
        ("db:2001:db8::1", ("db", "2001:db8::1")),
        ("db:[2001:db8::1]", ("db", "2001:db8::1")),
        ("up:host-gateway", ("up", "host-gateway")),
    ],
)
def test_added_hosts(item: str, expected: tuple[str, str]) -> None:
    assert plan.split_host(item) == expected


@pytest.mark.parametrize("item", ["", "db", ":10.0.0.1", "db:", "db:nowhere", "a b:10.0.0.1"])
def test_what_is_no_added_host(item: str) -> None:
    with pytest.raises(UsageError):
        plan.split_host(item)


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ([], "it is not a mapping"),
        (
            {"sub": "10.0.0.0/8"},
            "unknown key 'sub' (known: subnet, bind, mtu, dns, dns_search, dns_options, firewall, f",
        ),
        ({"subnet": "10.0.0.1/16"}, "subnet '10.0.0.1/16': 10.0.0.1/16 has host bits set"),
        ({"subnet": "10.0.0.0/30"}, "must be between a /8 and a /28"),
        ({"bind": "here"}, "'here' is not an IP address"),
        ({"dns": "1.1.1.1"}, "dns is not a list of texts"),
        ({"mtu": 20}, "mtu 20 is not between 576 and 65535"),
        ({"firewall": "ufw"}, "firewall 'ufw' is neither own nor honour"),
        ({"firewall_recheck": "60s"}, "firewall_recheck '60s' is not a number of seconds between 2 and 86400"),
        ({"firewall_recheck": 1}, "firewall_recheck 1 is not a number of seconds between 2 and 86400"),
    ],
)
def test_what_network_yaml_may_not_say(plain: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings(plain, "network.yaml")
    assert caught.value.message.startswith("network.yaml: ") and said in caught.value.message


def test_networks_of_other_roots_begin_elsewhere() -> None:
    assert str(next(subnets.own_candidates(Paths()))) == "10.128.0.0/24"
    firsts = {next(subnets.own_candidates(Paths(f"/var/tmp/{number}"))) for number in range(8)}
    assert len(firsts) > 4
    assert len(set(subnets.own_candidates(Paths("/var/tmp/x")))) == 4096


def test_an_address_of_each_family_on_a_network() -> None:
    first, more = run_flags.networks(("name=one,ip=10.0.0.2,ip6=FD00::2,alias=a", "two"), "", "", (), "")
    assert (first.ip, first.ip6, first.aliases, more[0].name) == ("10.0.0.2", "fd00::2", ("a",), "two")
    assert run_flags.networks(("one",), "", "", (), "fd00:0::3")[0].ip6 == "fd00::3"
    for network, address in (("one", "10.0.0.2"), ("bridge", "fd00::2"), ("one", "nothing")):
        with pytest.raises(UsageError, match="--ip6"):
            run_flags.networks((network,), "", "", (), address)
