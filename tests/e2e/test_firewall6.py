"""IPv6 through the host's firewall: what it refuses, and what ``port --audit`` says about it (real traffic)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from lxcwrap.kernel import veth
from tests.boxed import Box, boxed
from tests.e2e.test_audit import audited
from tests.e2e.test_network import container

WEB = "mkdir -p /w; echo hello >/w/index.html; exec httpd -f -p 80 -h /w"
RULES = """\
table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    meta l4proto ipv6-icmp accept
    ct state established,related accept
    LINE
  }
}
"""


@pytest.fixture(scope="module")
def box(needs: Callable[..., None]) -> Iterator[Box]:
    needs("nsenter")
    if os.geteuid():
        pytest.skip("needs root")
    with boxed() as made:
        yield made


def fetch(namespace: int, address: str, port: int, source: str = "") -> bool:
    with veth.entered(namespace):
        client = socket.socket(socket.AF_INET6)
    with closing(client):
        client.settimeout(3)
        client.bind((source or "::", 0))
        try:
            client.connect((address, port))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"200" in client.recv(100)
        except OSError:
            return False


@pytest.mark.parametrize("mode", ["own", "honour"])
def test_a_firewall_and_ipv6(box: Box, mode: str) -> None:
    box.settings.write_text(f"firewall: {mode}\n")
    box("network", "create", "--ipv6", "six")
    words = ["--network", "six", "-p", "8080:80", "-p", f"[{box.host6}]:8081:80", "busybox", "sh", "-c", WEB]
    try:
        with container(box, *words):
            for line, allowed in (("", ()), (f"ip6 saddr {box.more6} tcp dport 8080-8081 accept", (box.more6,))):
                box.firewall(RULES.replace("LINE", line))
                rows = audited(box)
                for title, port in (("[::]:8080->80/tcp", 8080), (f"[{box.host6}]:8081->80/tcp", 8081)):
                    assert fetch(box.namespace, box.host6, port)
                    for address in (box.address6, box.more6):
                        expected = mode == "own" or address in allowed
                        assert fetch(box.machine, box.host6, port, address) is expected, (line, port, address)
                    tried = {one["Address"]: one["Reached"] for one in rows[title]["Tried"]}
                    assert tried["fd99::ffff"] is (mode == "own")
                    assert not allowed or tried[box.more6]
    finally:
        box.firewall("")
        box("network", "rm", "six")
