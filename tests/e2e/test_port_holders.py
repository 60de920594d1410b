"""Who holds a published port while containers start, restart and die."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lxcwrap.model.paths import Paths
from tests.conftest import Cli, free_port

_PATIENCE = 5.0  # seconds


def is_open(cli: Cli, port: int) -> bool:
    """Whether the firewall leads a port of this host anywhere."""
    argv = ["nft", "list", "table", "inet", Paths(cli.root).nft_table]
    return bool(re.search(rf"\. {port} :", subprocess.run(argv, capture_output=True, check=True, text=True).stdout))


def kill_supervisor(cli: Cli, name: str) -> None:
    container = cli("inspect", "-f", "{{.Id}}", name).out.strip()
    state = json.loads(Path(cli.root, "containers", container, "state.json").read_text())
    os.kill(state["supervisor"], signal.SIGKILL)
    limit = time.monotonic() + _PATIENCE
    while cli("inspect", "-f", "{{.State.Status}}", name).out != "exited\n":
        assert time.monotonic() < limit, "it lives on without its supervisor"


@pytest.mark.parametrize("ways", [[("restart", "-t", "0")], [("kill",), ("start",)]], ids=["restart", "kill-start"])
def test_the_end_of_a_run_leaves_the_next_ones_ports(cli: Cli, busybox: str, ways: list[tuple[str, ...]]) -> None:
    port = free_port()
    cli("run", "-d", "--name", "again", "-p", f"{port}:80", busybox, "sleep", "1000")
    for way in ways:
        cli(*way, "again")
    time.sleep(0.5)  # what the old run still does, it has done by now
    shown, leads = cli("port", "again").out, is_open(cli, port)
    cli("rm", "-f", "again")
    assert (shown, leads) == (f"80/tcp -> 0.0.0.0:{port}\n", True)
    assert not is_open(cli, port)


def test_stop_gives_ports_back_before_it_returns(cli: Cli, busybox: str) -> None:
    port = free_port()
    cli("run", "-d", "--name", "brief", "-p", f"{port}:80", busybox, "sleep", "1000")
    cli("stop", "-t", "0", "brief")
    left = is_open(cli, port)
    cli("rm", "brief")
    assert not left


def test_one_of_many_gets_the_port(cli: Cli, busybox: str) -> None:
    """Started at the same moment, one has the port and the others are told so."""
    port, names = free_port(), [f"rival{number}" for number in range(4)]
    words = ("-p", f"{port}:80", busybox, "sleep", "1000")
    started = [
        cli.popen("run", "-d", "--name", name, *words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for name in names
    ]
    said = [process.communicate(timeout=30)[1].decode() for process in started]
    codes = [process.returncode for process in started]
    listed = cli("ps", "--format", "{{.Names}} {{.Ports}}", "-f", "name=rival").lines
    cli("rm", "-f", *names)
    assert sorted(codes) == [0, 125, 125, 125], said
    assert listed == [f"{names[codes.index(0)]} 0.0.0.0:{port}->80/tcp"]
    for text in filter(None, said):
        assert re.fullmatch(rf"lxcwrap: port 0\.0\.0\.0:{port}/tcp is already allocated to .*\n", text)


@pytest.mark.parametrize("then", [["ps"], ["port", "victim"], ["run", "--rm", "busybox", "true"]], ids=lambda w: w[0])
def test_ports_of_the_killed_are_given_back_by_the_next_command(cli: Cli, busybox: str, then: list[str]) -> None:
    port = free_port()
    cli("run", "-d", "--name", "victim", "-p", f"{port}:80", busybox, "sleep", "1000")
    kill_supervisor(cli, "victim")
    cli(*then)
    left = is_open(cli, port)
    cli("rm", "-f", "victim")
    assert not left


def test_two_starts_of_one_container_start_it_once(cli: Cli, busybox: str) -> None:
    """The second finds it running; it does not run once more when the first run ends."""
    cli("create", "--name", "once", busybox, "sh", "-c", "echo began; sleep 1")
    started = [cli.popen("start", "once", stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(timeout=30) for process in started] == [0, 0, 0]
    cli("wait", "once")
    time.sleep(0.5)
    log = cli("logs", "once").out
    cli("rm", "-f", "once")
    assert log == "began\n"
