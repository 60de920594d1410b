"""A host's firewall and published ports: what it refuses is refused where the operator asks for it (real traffic)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lxcwrap.model.paths import Paths
from tests.boxed import Box
from tests.e2e.test_network import container
from tests.e2e.traffic import DATAGRAM, STREAM, answering, inside, opened

PORT = 8080
NFT = """\
table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    LINES
  }
}
"""
# The chains through which ufw passes a packet, as `ufw enable` makes them (0.36), without those that only log.
UFW = """\
*filter
:INPUT DROP
:FORWARD DROP
:OUTPUT ACCEPT
:ufw-before-input -
:ufw-before-forward -
:ufw-not-local -
:ufw-user-input -
:ufw-user-forward -
-A INPUT -j ufw-before-input
-A FORWARD -j ufw-before-forward
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -j ufw-user-input
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -j DROP
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-user-forward -o BRIDGE -j ACCEPT
-A ufw-user-forward -i BRIDGE -j ACCEPT
LINES
COMMIT
"""
WRITTEN = {
    "nft": {
        "nobody": NFT.replace("LINES", ""),
        "all": NFT.replace("LINES", "meta l4proto { tcp, udp } th dport 8080 accept"),
        "one": NFT.replace("LINES", f"ip saddr {Box.more} tcp dport 8080 accept"),
    },
    "ufw": {
        "nobody": UFW.replace("LINES\n", ""),
        "all": UFW.replace(
            "LINES",
            "-A ufw-user-input -p tcp -m tcp --dport 8080 -j ACCEPT\n"
            "-A ufw-user-input -p udp -m multiport --dports 8080,8081 -j ACCEPT",
        ),
        "one": UFW.replace("LINES", f"-A ufw-user-input -s {Box.more}/32 -p tcp -m tcp --dport 8080 -j ACCEPT"),
    },
}


@pytest.fixture(autouse=True)
def fresh(box: Box) -> Iterator[None]:
    yield
    box.firewall("")
    set_mode(box, "")


def set_mode(box: Box, text: str) -> None:
    """Takes effect with the next container."""
    box.settings.write_text(text)
    box("run", "--rm", "busybox", "true")


def rules(box: Box, kind: str, allowed: str) -> None:
    box.firewall(WRITTEN[kind][allowed].replace("BRIDGE", Paths(box.root).bridge))


def ask(namespace: int, kind: int, address: str, port: int, *, wait: float = 2.5, source: str = "") -> str:
    """What a server says to somebody there, who sends a datagram again every second; the error's name otherwise."""
    over = time.monotonic() + wait
    with opened(namespace, kind) as client:
        client.settimeout(wait if kind == STREAM else 1)
        if source:
            client.bind((source, 0))
        while True:
            try:
                client.connect((address, port))
                client.send(b"?")
                return client.recv(100).decode()
            except OSError as error:
                if kind == STREAM or time.monotonic() > over:
                    return type(error).__name__


@contextmanager
def served(box: Box) -> Iterator[int]:
    """A container that answers on the published port, TCP and UDP; a descriptor of its namespace."""
    words = ["-p", f"{PORT}:7", "-p", f"{PORT}:7/udp", "busybox", "sleep", "300"]
    with (
        container(box, *words) as made,
        inside(box, made) as there,
        answering(there, STREAM, 7),
        answering(there, DATAGRAM, 7),
    ):
        yield there


@pytest.mark.parametrize("kind", ["nft", "ufw"])
def test_what_the_hosts_firewall_refuses_is_refused(box: Box, kind: str) -> None:
    set_mode(box, "firewall: honour\nfirewall_recheck: 2\n")
    with served(box):
        rules(box, kind, "nobody")
        assert ask(box.machine, STREAM, box.host, PORT) == "TimeoutError"
        assert ask(box.machine, DATAGRAM, box.host, PORT) == "TimeoutError"
        rules(box, kind, "one")
        assert ask(box.machine, STREAM, box.host, PORT, source=box.more) == box.more, "its own address is seen"
        assert ask(box.machine, STREAM, box.host, PORT, source=box.address) == "TimeoutError"
        rules(box, kind, "all")
        assert ask(box.machine, STREAM, box.host, PORT, source=box.address) == box.address
        assert ask(box.machine, DATAGRAM, box.host, PORT, source=box.address) == box.address
        with opened(box.machine, STREAM) as kept:
            kept.connect((box.host, PORT))
            rules(box, kind, "nobody")
            time.sleep(2.5)
            assert ask(box.machine, STREAM, box.host, PORT) == "TimeoutError", "refused after the time of the recheck"
            kept.send(b"?")
            assert kept.recv(100).decode() == box.address, "what was open stays open"


def test_by_itself_the_hosts_firewall_is_not_asked(box: Box) -> None:
    """The other way round: the trap of which the documentation warns, without which the mode would prove nothing."""
    with served(box):
        rules(box, "nft", "nobody")
        assert ask(box.machine, STREAM, box.host, PORT) == box.address


def test_host_and_containers_are_not_asked(box: Box) -> None:
    set_mode(box, "firewall: honour\n")
    box("network", "create", "-o", "com.docker.network.bridge.name=named0", "named")
    rules(box, "nft", "nobody")
    with (
        served(box) as there,
        container(box, "--network", "named", "busybox", "sleep", "100") as other,
        inside(box, other) as neighbour,
    ):
        for namespace in (there, neighbour, box.namespace):
            before = time.monotonic()
            for kind in (STREAM, DATAGRAM):
                assert "." in ask(namespace, kind, box.host, PORT, wait=0.5)
            assert time.monotonic() - before < 0.9, "and not delayed"
        assert "." in ask(box.namespace, STREAM, "127.0.0.1", PORT)
    box("network", "rm", "named")


def test_a_port_of_one_address(box: Box) -> None:
    set_mode(box, "firewall: honour\n")
    words = ["-p", f"{box.host}:{PORT}:7", "-p", "127.0.0.1:8081:7", "busybox", "sleep", "100"]
    with container(box, *words) as made, inside(box, made) as there, answering(there, STREAM, 7):
        rules(box, "nft", "nobody")
        assert ask(box.machine, STREAM, box.host, PORT) == "TimeoutError"
        rules(box, "nft", "all")
        assert ask(box.machine, STREAM, box.host, PORT) == box.address
        assert ask(box.namespace, STREAM, "127.0.0.1", 8081) != "TimeoutError"


def test_ports_come_and_go_with_their_containers(box: Box) -> None:
    set_mode(box, "firewall: honour\n")
    name = Paths(box.root).nft_table
    before = box.run("nft", "list", "table", "inet", name)
    made = box("run", "-d", "-p", "80", "-p", "127.0.0.1::90/udp", "busybox", "sleep", "100").out.strip()
    taken = box.run("nft", "list", "table", "inet", name)
    assert taken.count("tcp . ") == taken.count("udp . ") == 2, "in the map and in the set"
    box("rm", "-f", made)
    assert box.run("nft", "list", "table", "inet", name) == before
    made = box("run", "-d", "-p", "80", "busybox", "sleep", "100").out.strip()
    box.settings.write_text("")  # nothing has made the table anew yet
    box("rm", "-f", made)
    assert box.run("nft", "list", "table", "inet", name) == before


# --- open connections --------------------------------------------------------------------------------------------


class Stream(threading.Thread):
    """Somebody who receives without end: whether every byte came, and when the last one did."""

    def __init__(self, box: Box) -> None:
        super().__init__()
        self.wire = opened(box.machine, STREAM)
        self.wire.settimeout(5)
        self.wire.connect((box.host, PORT))
        self.over, self.received, self.failure = threading.Event(), 0, ""
        self.start()

    def run(self) -> None:
        try:
            while not self.over.is_set():
                part = self.wire.recv(1 << 16)
                if part != bytes((self.received + at) % 251 for at in range(len(part))) or not part:
                    self.failure = "other bytes than were sent" if part else "closed"
                    return
                self.received += len(part)
        except OSError as error:
            self.failure = repr(error)

    def goes_on(self) -> None:
        """At least so much more arrives now: it is not what was under way before."""
        before = self.received
        for _ in range(500):
            if self.failure or self.received > before + (1 << 17):
                break
            time.sleep(0.01)
        assert not self.failure and self.received > before, self.failure or "nothing came any more"


def pour(server: socket.socket) -> None:
    """Send a pattern to the first who comes, a little slowly, until they leave."""
    connection, _ = server.accept()
    pattern = bytes(at % 251 for at in range(251 * 256))
    with connection:
        try:
            while True:
                connection.sendall(pattern)
                time.sleep(0.005)
        except OSError:
            return


@contextmanager
def transfer(box: Box, there: int) -> Iterator[Stream]:
    with opened(there, STREAM) as server:
        server.bind(("0.0.0.0", 9))
        server.listen()
        server.settimeout(10)
        pouring = threading.Thread(target=pour, args=(server,))
        pouring.start()
        stream = Stream(box)
        try:
            yield stream
        finally:
            stream.over.set()
            stream.join()
            stream.wire.close()
            pouring.join()


def test_open_connections_stay_open_while_rules_change(box: Box) -> None:
    set_mode(box, "")
    with (
        container(box, "-p", f"{PORT}:9", "busybox", "sleep", "300") as made,
        inside(box, made) as there,
        transfer(box, there) as stream,
    ):
        stream.goes_on()
        for _ in range(3):  # other ports are published and given back
            box("run", "--rm", "-p", "80", "-p", "90/udp", "busybox", "true")
            stream.goes_on()
        for mode in ("honour", "own", "honour"):  # the table is written anew
            set_mode(box, f"firewall: {mode}\n")
            stream.goes_on()
        rules(box, "nft", "nobody")
        stream.goes_on()
        box("network", "create", "shop")  # other networks come, are used and go
        box("run", "--rm", "--network", "shop", "-p", "80", "busybox", "true")
        box("network", "rm", "shop")
        stream.goes_on()
        box("run", "--rm", "--network", "host", "busybox", "true")
        stream.goes_on()
