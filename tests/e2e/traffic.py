"""Traffic between the host, its containers and another machine, IPv4 and IPv6."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from lxcwrap.kernel import veth
from tests.conftest import Cli

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
HERE = -1  # the host's own network namespace


class Machine(NamedTuple):
    """Another machine: a network namespace that is routed to the host, not bridged."""

    namespace: int
    name: str
    link: str  # the host's device
    address: str
    host: str  # the host's address on the link between them
    address6: str
    host6: str


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout


@contextmanager
def machine(number: int = 0) -> Iterator[Machine]:
    """One that lasts as long as the context; ``number`` tells several apart."""
    name = f"lxm{os.getpid()}n{number}"
    link = f"lxm{os.getpid()}h{number}"
    host, address = (f"198.19.{os.getpid() % 250}.{number * 4 + last}" for last in (1, 2))
    host6, address6 = (f"fd5a:{os.getpid() & 0xFFFF:x}:{number + 1}::{last}" for last in (1, 2))
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "address", "add", f"{host}/30", "dev", link)
        run("ip", "address", "add", f"{host6}/64", "dev", link, "nodad")
        run("ip", "link", "set", link, "up")
        for words in (f"address add {address}/30 dev eth0", f"address add {address6}/64 dev eth0 nodad",
                      "link set eth0 up", "link set lo up", f"route add default via {host}",
                      f"-6 route add default via {host6}"):  # fmt: skip
            run("ip", "-n", name, *words.split())
        namespace = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            yield Machine(namespace, name, link, address, host, address6, host6)
        finally:
            os.close(namespace)
    finally:
        # a connection of it that has not quite ended keeps the namespace for a while, and would the link with it
        subprocess.run(["ip", "link", "delete", link], capture_output=True)
        run("ip", "netns", "delete", name)


@contextmanager
def inside(cli: Cli, container: str) -> Iterator[int]:
    """A descriptor of the container's network namespace."""
    pid = cli("inspect", "-f", "{{.State.Pid}}", container).out.strip()
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        yield namespace
    finally:
        os.close(namespace)


def opened(namespace: int, kind: int, address: str = "0.0.0.0") -> socket.socket:
    """A socket of that network namespace: it stays in it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with nullcontext() if namespace == HERE else veth.entered(namespace):
        made = socket.socket(family, kind)
    made.settimeout(2)
    return made


@contextmanager
def answering(namespace: int, kind: int, port: int, address: str = "0.0.0.0") -> Iterator[None]:
    """A server there that says whom it sees (the peer's address) to everything that it hears."""
    with opened(namespace, kind, address) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if server.family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((address, port))
        if kind == STREAM:
            server.listen()
        server.settimeout(0.1)
        over = threading.Event()
        thread = threading.Thread(target=_answer, args=(server, kind, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _answer(server: socket.socket, kind: int, over: threading.Event) -> None:
    clients: list[threading.Thread] = []
    while not over.is_set():
        try:
            if kind == STREAM:
                connection, peer = server.accept()
                clients.append(threading.Thread(target=_converse, args=(connection, peer[0], over)))
                clients[-1].start()
            else:
                _, peer = server.recvfrom(100)
                server.sendto(peer[0].encode(), peer)
        except TimeoutError:
            continue
    for client in clients:
        client.join()


def _converse(connection: socket.socket, peer: str, over: threading.Event) -> None:
    connection.settimeout(0.1)
    with connection:
        while not over.is_set():
            try:
                if not connection.recv(100):
                    return
                connection.sendall(peer.encode())
            except TimeoutError:
                continue
            except OSError:
                return


@contextmanager
def talking(namespace: int, kind: int, address: str, port: int, *, wait: float = 8) -> Iterator[socket.socket]:
    """A connection from there."""
    with opened(namespace, kind, address) as client:
        client.settimeout(wait)
        client.connect((address, port))
        yield client


def ask(namespace: int, kind: int, address: str, port: int, *, wait: float = 8) -> str:
    """What a server at that address says to somebody there; the name of the error when nobody answers."""
    try:
        with talking(namespace, kind, address, port, wait=wait) as client:
            client.send(b"?")
            return client.recv(100).decode()
    except OSError as error:
        return type(error).__name__ if type(error) is not OSError else os.strerror(error.errno or 0)


def eventually(question: object, wanted: object, *, seconds: float = 5) -> None:
    """Ask until the answer is the wanted one."""
    assert callable(question)
    deadline = time.monotonic() + seconds
    while (answer := question()) != wanted:
        assert time.monotonic() < deadline, f"{answer!r}, not {wanted!r}"
        time.sleep(0.05)
