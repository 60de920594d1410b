"""The case that lxcwrap began with: memcached from a Dockerfile, spoken to, committed, pushed, pulled, run again."""

from __future__ import annotations

import os
import re
import socket
import time
from typing import Any

from tests.conftest import CHECKOUT, free_port

EXAMPLE = CHECKOUT / "examples" / "memcached"


def _ask(port: int, request: bytes, end: bytes) -> bytes:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(request)
                answer = b""
                while not answer.endswith(end) and (more := connection.recv(65536)):
                    answer += more
                if answer:
                    return answer
        except OSError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "memcached does not answer"
        time.sleep(0.1)


def _speak(port: int) -> None:
    assert _ask(port, b"set key 0 0 5\r\nvalue\r\n", b"\r\n") == b"STORED\r\n"
    assert _ask(port, b"get key\r\n", b"END\r\n") == b"VALUE key 0 5\r\nvalue\r\nEND\r\n"
    assert re.search(rb"STAT curr_items 1\r\n", _ask(port, b"stats\r\n", b"END\r\n"))


def _runs_as_daemon(cli: Any, name: str) -> None:
    shown = cli("exec", name, "sh", "-c", "stat -c %U /proc/1; cat /proc/1/comm").out.split()
    assert shown == ["daemon", "memcached"]


def test_build_run_commit_push_pull_run(cli: Any, root: str, debian: str, registry: str) -> None:
    cli("build", "-t", "me/memcached", EXAMPLE, timeout=300)
    port = free_port()
    cli("run", "-d", "--name", "first", "-p", f"{port}:11211", "me/memcached")
    _speak(port)
    _runs_as_daemon(cli, "first")
    name = f"{registry}/me/memcached:changed"
    cli("commit", "-c", 'CMD ["-m", "32"]', "first", name)
    cli("push", name, timeout=120)
    cli("rm", "-f", "first")
    cli("rmi", "-f", name, "me/memcached", debian)
    cli("builder", "prune", "-f")
    assert not cli("images", "-q").out.strip() and not os.listdir(f"{root}/layers")
    cli("pull", name, timeout=120)
    cli("run", "-d", "--name", "again", "-p", f"{port}:11211", name)
    _speak(port)
    _runs_as_daemon(cli, "again")
    assert b"STAT limit_maxbytes 33554432\r\n" in _ask(port, b"stats\r\n", b"END\r\n")
    cli("rm", "-f", "again")
