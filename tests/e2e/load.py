"""Servers that say who they are, and clients that ask them without a pause: whether one is ever refused."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.e2e.traffic import STREAM, opened


@contextmanager
def serving(namespace: int, port: int, name: str, address: str = "::") -> Iterator[None]:
    """One that answers each line with its name, for both families; at the end it breaks off what is left."""
    over = threading.Event()
    with opened(namespace, STREAM, address) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(128)
        server.settimeout(0.05)
        thread = threading.Thread(target=_accept, args=(server, name.encode() + b"\n", over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _accept(server: socket.socket, answer: bytes, over: threading.Event) -> None:
    with ExitStack() as stack:
        while not over.is_set():
            try:
                connection = stack.enter_context(server.accept()[0])
            except TimeoutError:
                continue
            threading.Thread(target=_answer, args=(connection, answer)).start()


def _answer(connection: socket.socket, answer: bytes) -> None:
    try:
        while asked := connection.recv(1000):
            connection.sendall(answer * asked.count(b"\n"))
    except OSError:
        pass
    connection.close()


class Client:
    """Asks again and again, so many times by each connection; ``failures`` tells what went wrong, and when."""

    def __init__(self, namespace: int, address: str, port: int, each: int) -> None:
        self.what = f"{address} x{each}"
        self.answers: dict[str, int] = {}
        self.failures: list[str] = []
        self._where, self._each = (namespace, address, port), each
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._converse()
            except OSError as error:
                self.failures.append(f"{self.what} at {time.monotonic():.3f}: {error!r}")
                time.sleep(0.05)

    def _converse(self) -> None:
        namespace, address, port = self._where
        with opened(namespace, STREAM, address) as connection:
            connection.settimeout(5)
            connection.connect((address, port))
            for _ in range(self._each):
                connection.sendall(b"?\n")
                answer = connection.recv(100).decode().strip()
                if not answer:
                    raise ConnectionError("closed without an answer")
                self.answers[answer] = self.answers.get(answer, 0) + 1
                time.sleep(0.002)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def load(*clients: tuple[int, str, int, int]) -> Iterator[list[Client]]:
    """Clients by namespace, address, port and questions per connection, until the end of the context."""
    made = [Client(*one) for one in clients]
    try:
        yield made
    finally:
        for client in made:
            client.stop()
