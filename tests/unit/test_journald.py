"""What goes over the wire to journald, and what the flags say of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lxcwrap.errors import LxcwrapError
from lxcwrap.model.container import LogConfig
from lxcwrap.model.log_flags import attributes, log_config, render
from lxcwrap.runtime.journald import JournalLog

Received = Callable[[], list[dict[str, bytes]]]


def parsed(message: bytes) -> dict[str, bytes]:
    """The fields of one datagram, by the protocol's rules."""
    fields = {}
    while message:
        line, _, rest = message.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + length], rest[9 + length :]
        fields[name.decode()] = value
        message = rest
    return fields


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Received]]:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        listening.settimeout(0.1)

        def received() -> list[dict[str, bytes]]:
            found = []
            try:
                while True:
                    found.append(parsed(listening.recv(1 << 20)))
            except TimeoutError:
                return found

        yield path, received


def test_lines(server: tuple[str, Received]) -> None:
    path, received = server
    log = JournalLog({"CONTAINER_NAME": "web", "TEXT": "two\nlines"}, path)
    log.write("stdout", b"one\ntw")
    log.write("stderr", b"bad=\xff\n")
    log.write("stdout", b"o\n\n")
    first, error, second, empty = received()
    assert (first["MESSAGE"], first["PRIORITY"], first["CONTAINER_NAME"]) == (b"one", b"6", b"web")
    assert (error["MESSAGE"], error["PRIORITY"]) == (b"bad=\xff", b"3")
    assert (second["MESSAGE"], empty["MESSAGE"], first["TEXT"]) == (b"two", b"", b"two\nlines")
    assert [one["CONTAINER_LOG_ORDINAL"] for one in (first, error, second, empty)] == [b"1", b"2", b"3", b"4"]
    assert log.end == f"{first['CONTAINER_LOG_EPOCH'].decode()}:4"


def test_parts(server: tuple[str, Received]) -> None:
    path, received = server
    log = JournalLog({}, path)
    log.write("stdout", b"x" * 40000)
    log.write("stdout", b"y\nrest")
    log.flush()
    log.flush()
    found = received()
    assert [len(one["MESSAGE"]) for one in found] == [16384, 16384, 40000 - 2 * 16384 + 1, 4]
    assert [one.get("CONTAINER_PARTIAL_MESSAGE") for one in found] == [b"true", b"true", None, b"true"]


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        JournalLog({}, str(tmp_path / "none"))
    assert caught.value.filename == str(tmp_path / "none")


def test_a_listener_that_comes_back(server: tuple[str, Received]) -> None:
    path, _ = server
    log = JournalLog({}, path)
    os.rename(path, path + ".old")
    log._socket.close()
    log._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # as one whose peer is gone
    log.write("stdout", b"lost\nlost\n")
    os.rename(path + ".old", path)
    log.write("stdout", b"here\n")
    assert [one["MESSAGE"] for one in server[1]()] == [b"2 lines were lost: journald did not take them", b"here"]


def test_flags() -> None:
    assert log_config("", ()) == log_config("json-file", ()) == LogConfig()
    assert log_config("local", ("max-size=1m", "max-file=2", "compress=false")) == LogConfig("local", 1 << 20, 2, False)
    found = log_config("journald", ("tag={{.Name}}", "labels=a,b", "env=X", "labels-regex=^c", "env-regex=Y$"))
    assert (found.driver, found.tag, found.labels, found.env) == ("journald", "{{.Name}}", ("a", "b"), ("X",))
    chosen = attributes(found, {"a": "1", "cc": "2", "d": "3"}, {"X": "x", "ZY": "y", "Q": "q"})
    assert chosen == {"a": "1", "cc": "2", "X": "x", "ZY": "y"}
    for driver, options in (("syslog", ()), ("none", ("max-size=1m",)), ("local", ("tag=x",)), ("journald", ("a=b",))):
        with pytest.raises(LxcwrapError):
            log_config(driver, options)


def test_tags() -> None:
    assert render("{{.ImageName}}/{{ .Name }}", {"ImageName": "web:1", "Name": "a"}) == "web:1/a"
    for tag in ("{{.Nope}}", "{{json .Name}}", "{{", "{{.Name"):
        with pytest.raises(LxcwrapError):
            render(tag, {"Name": "a"})
