"""Supervisors that are forked by running ones: they share memory and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path


def supervisor(cli, name: str) -> int:
    container = cli("inspect", "--format", "{{.Id}}", name).out.strip()
    return int(json.loads(Path(cli.root, "containers", container, "state.json").read_text())["supervisor"])


def status(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:"))


def private(pid: int) -> int:
    """KiB that the process shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def test_a_long_line_of_descent(cli, busybox: str) -> None:
    """Each is forked by the one before it, which then ends."""
    cli("run", "-d", "--name", "line0", busybox, "sleep", "1000")
    first = supervisor(cli, "line0")
    for number in range(1, 12):
        cli("run", "-d", "--name", f"line{number}", busybox, "sleep", "1000")
        cli("rm", "-f", f"line{number - 1}")
    last = supervisor(cli, "line11")
    assert last != first
    assert cli("exec", "line11", "echo", "here").out == "here\n"
    assert cli("ps", "-q").lines == [cli("inspect", "--format", "{{.Id}}", "line11").out[:12]]
    stack = [line for line in os.listdir(f"/proc/{last}/fd") if int(line) > 2]
    assert len(stack) < 20  # nothing of its eleven ancestors is open in it
    cli("rm", "-f", "line11")


def test_it_shares_memory_and_is_not_its_parents_child(cli, busybox: str) -> None:
    cli("run", "-d", "--name", "elder", busybox, "sleep", "1000")
    cli("run", "-d", "--name", "younger", busybox, "sleep", "1000")
    elder, younger = supervisor(cli, "elder"), supervisor(cli, "younger")
    assert int(status(younger, "PPid")) != elder
    assert os.getsid(younger) == younger
    assert private(younger) < 3000
    os.kill(elder, signal.SIGKILL)
    assert cli("exec", "younger", "echo", "alive").out == "alive\n"
    assert cli("inspect", "--format", "{{.State.Status}}", "elder").out == "exited\n"
    cli("rm", "-f", "elder", "younger")


def test_it_takes_the_clients_limits_and_groups(cli, busybox: str) -> None:
    cli("run", "-d", "--name", "elder", busybox, "sleep", "1000")
    argv = ["bash", "-c", 'ulimit -n 777; ulimit -c 5; exec nice -n 3 "$@"', "bash"]
    argv += cli.argv("run", "-d", "--name", "younger", busybox, "sleep", "1000")
    subprocess.run(argv, env=cli.environment, check=True, capture_output=True, timeout=60)
    younger = supervisor(cli, "younger")
    limits = Path(f"/proc/{younger}/limits").read_text()
    assert "Max open files            777" in limits
    assert os.getpriority(os.PRIO_PROCESS, younger) == 3
    assert Path(f"/proc/{younger}/cgroup").read_text() == Path("/proc/self/cgroup").read_text()
    cli("rm", "-f", "elder", "younger")


def test_a_stopped_sibling_delays_nobody_for_long(cli, busybox: str) -> None:
    cli("run", "-d", "--name", "elder", busybox, "sleep", "1000")
    elder = supervisor(cli, "elder")
    os.kill(elder, signal.SIGSTOP)
    try:
        assert cli("run", "--rm", busybox, "echo", "done", timeout=10).out == "done\n"
    finally:
        os.kill(elder, signal.SIGCONT)
    assert cli("exec", "elder", "echo", "alive").out == "alive\n"
    cli("rm", "-f", "elder")
