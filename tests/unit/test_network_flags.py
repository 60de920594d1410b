"""What ``network create`` asks for, and what of it does not fit together."""

from __future__ import annotations

from typing import Any

import pytest

from lxcwrap.errors import LxcwrapError
from lxcwrap.model import network_flags
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.network import rules, user

GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv6"


def test_values_are_sorted_by_family() -> None:
    found = network_flags.definition(
        "n", subnets=("fd00:1::/64", "10.1.0.0/24"), gateways=("10.1.0.9", "fd00:1::9"), ipv6=True,
        ranges=("10.1.0.16/28",), reserved=(("a", "fd00:1::5"), ("b", "10.1.0.17")),
    )  # fmt: skip
    assert (found.subnet, found.gateway, found.ip_range) == ("10.1.0.0/24", "10.1.0.9", "10.1.0.16/28")
    assert (found.subnet6, found.gateway6, found.ip_range6) == ("fd00:1::/64", "fd00:1::9", "")
    assert NetworkDefinition.from_json(found.to_json()) == found


def test_options() -> None:
    bridge = network_flags.definition("n", ipv6=True, options=((GATEWAY_MODE, "routed"), ("mtu", "1400")))
    assert (bridge.routed, bridge.routed6, bridge.mtu, bridge.subnet6) == (False, True, 1400, "::/0")
    child = network_flags.definition("n", "macvlan", options=(("parent", "eth0"),))
    assert (child.driver, child.parent, child.mode) == ("macvlan", "eth0", "bridge")
    assert network_flags.definition("n", "ipvlan", options=(("parent", "e"), ("ipvlan_mode", "l3"))).mode == "l3"
    unmasked = network_flags.definition("n", options=(("com.docker.network.bridge.enable_ip_masquerade", "false"),))
    assert unmasked.routed and unmasked.routed6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"driver": "overlay"}, "network driver 'overlay'"),
        ({"subnets": ("fd00::/64",)}, "it goes with --ipv6"),
        ({"subnets": ("10.0.0.0/24", "10.1.0.0/24")}, "--subnet is given twice for IPv4"),
        ({"subnets": ("10.0.0.1/24",)}, "has host bits set"),
        ({"subnets": ("fd00::/124",), "ipv6": True}, "between a /16 and a /120"),
        ({"gateways": ("10.0.0.1",)}, "--gateway 10.0.0.1 needs a --subnet"),
        ({"subnets": ("10.0.0.0/24",), "gateways": ("10.0.1.1",)}, "--gateway 10.0.1.1 is not inside"),
        ({"subnets": ("10.0.0.0/24",), "gateways": ("10.0.0.0",)}, "--gateway 10.0.0.0 is not inside"),
        ({"subnets": ("10.0.0.0/24",), "ranges": ("10.0.0.0/16",)}, "--ip-range 10.0.0.0/16 is not inside"),
        ({"subnets": ("10.0.0.0/24",), "reserved": (("a", "fd00::1"),)}, "--aux-address fd00::1 needs a --subnet"),
        ({"subnets": ("10.0.0.0/24",), "reserved": (("a", "x"),)}, "--aux-address 'x' is not an IP address"),
        ({"options": (("mtu", "100"),)}, "is not between 576 and 65535"),
        ({"options": (("mtu", "1000"),), "ipv6": True}, "IPv6 needs an MTU of 1280"),
        ({"options": ((GATEWAY_MODE, "isolated"),)}, "choose nat or routed"),
        ({"options": (("com.docker.network.bridge.name", "x" * 16),)}, "have 15 characters"),
        ({"driver": "macvlan"}, "needs the host's interface"),
        ({"driver": "ipvlan", "options": (("parent", "e"), ("ipvlan_mode", "l4"))}, "choose l2 or l3 or l3s"),
    ],
)
def test_what_does_not_fit(words: dict[str, Any], said: str) -> None:
    with pytest.raises(LxcwrapError) as caught:
        network_flags.definition("n", **words)
    assert said in caught.value.message


def test_rules_of_both_families() -> None:
    both = NetworkDefinition(
        "f" * 64, "n", "lxn1", "10.1.0.0/24", "10.1.0.1", 1500, subnet6="fd00::/64", gateway6="fd00::1"
    )
    text = user.ruleset("t", both)
    assert 'ip6 saddr fd00::/64 oifname != "lxn1" masquerade' in text
    assert 'oifname "lxn1" ip6 saddr fd00::/64 ct status dnat masquerade' in text
    routed = NetworkDefinition.from_json({**both.to_json(), "routed6": True})
    port = rules.Published("::", 8080, "tcp", "c", 80, "fd00::2")
    text = user.ruleset("t", routed, (port,))
    assert "ip6 saddr fd00::/64 oifname !=" not in text and 'ip saddr 10.1.0.0/24 oifname != "lxn1"' in text
    assert 'oifname "lxn1" ip6 daddr . meta l4proto . th dport { fd00::2 . tcp . 80 } accept' in text
    closed = NetworkDefinition.from_json({**routed.to_json(), "internal": True})
    assert "masquerade" not in user.ruleset("t", closed).partition("127.0.0.0/8")[0]
    assert " accept" not in user.ruleset("t", closed, (port,)).partition('oifname "lxn1" drop')[0].partition(
        'iifname "lxn1" drop'
    )[2]  # fmt: skip


def test_elements_of_ipv6() -> None:
    bound = rules.Published("fd01::1", 53, "udp", "c", 5353, "fd00::2")
    everywhere = rules.Published("::", 80, "tcp", "c", 8080, "fd00::2")
    found = rules.by_map((bound, everywhere))
    assert found["bound6"] == [
        (bytes.fromhex("fd01" + "00" * 13 + "01") + b"\x11\0\0\0\0\x35\0\0",
         bytes.fromhex("fd00" + "00" * 13 + "02") + b"\x14\xe9\0\0")
    ]  # fmt: skip
    assert found["anywhere6"][0][0] == b"\x06\0\0\0\0\x50\0\0"
    definition = NetworkDefinition("f" * 64, "bridge", "lxcw0", "10.9.8.0/28", "10.9.8.1", 1500)
    text = rules.ruleset("t", definition, (bound, everywhere))
    assert "elements = { fd01::1 . udp . 53 : fd00::2 . 5353 }" in text
    assert "elements = { tcp . 80 : fd00::2 . 8080 }" in text
