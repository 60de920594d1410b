"""Health checks: run by the supervisor of a real container, shown by inspect and ps, and what follows from them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

QUICK = ("--health-interval", "100ms", "--health-retries", "2")


@pytest.fixture
def box(cli: Any) -> Iterator[str]:
    yield "box"
    cli("rm", "-f", "box", check=False)


def health(cli: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("inspect", "-f", "{{json .State.Health}}", "box").out)
    return found


def until(test: Callable[[], bool], seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_becomes_healthy_and_unhealthy(cli: Any, busybox: str, box: str) -> None:
    check = "echo looking; test ! -e /tmp/bad"
    cli("run", "-d", "--name", box, "--health-cmd", check, *QUICK, busybox, "sleep", "100")
    until(lambda: health(cli)["Status"] == "healthy")
    assert "(healthy)" in cli("ps", "--filter", "health=healthy").out
    last = health(cli)["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (0, "looking\n") and last["Start"] < last["End"]
    cli("exec", box, "touch", "/tmp/bad")
    until(lambda: health(cli)["Status"] == "unhealthy")
    known = health(cli)
    assert known["FailingStreak"] >= 2 and known["Log"][-1]["ExitCode"] == 1
    until(lambda: len(health(cli)["Log"]) == 5)
    assert "box" not in cli("ps", "--format", "{{.Names}}", "--filter", "health=healthy").out
    cli("exec", box, "rm", "/tmp/bad")
    until(lambda: health(cli)["Status"] == "healthy")


def test_too_slow_a_check_is_killed_with_what_it_started(cli: Any, busybox: str, box: str) -> None:
    check = "echo begun; sleep 4321 & sleep 4321"
    cli("run", "-d", "--name", box, "--health-cmd", check, "--health-timeout", "300ms", *QUICK, busybox, "sleep", "99")
    until(lambda: bool(health(cli)["Log"]))
    first = health(cli)["Log"][0]
    assert first["ExitCode"] == -1 and first["Output"] == "Health check exceeded timeout (0.3s): begun\n"
    until(lambda: health(cli)["Status"] == "unhealthy")
    until(lambda: cli("top", box).out.count("sleep 4321") <= 2)  # of the one that runs now


def test_output_is_cut_and_start_period_forgives(cli: Any, busybox: str, box: str) -> None:
    period = ("--health-start-period", "1h", "--health-start-interval", "50ms")
    check = "head -c 100000 /dev/zero | tr '\\0' x; exit 1"
    cli("run", "-d", "--name", box, "--health-cmd", check, *period, "--health-retries", "1", busybox, "sleep", "99")
    until(lambda: len(health(cli)["Log"]) == 5)
    known = health(cli)
    assert (known["Status"], known["FailingStreak"]) == ("starting", 0)
    assert known["Log"][0]["Output"] == "x" * 4096 + "..."


def test_check_runs_as_the_containers_user_in_its_environment(cli: Any, busybox: str, box: str) -> None:
    words = ("-u", "7:8", "-w", "/tmp", "-e", "A=b", "--health-cmd", "id -u; pwd; echo $A")
    cli("run", "-d", "--name", box, *words, *QUICK, busybox, "sleep", "99")
    until(lambda: bool(health(cli)["Log"]))
    assert health(cli)["Log"][0]["Output"] == "7\n/tmp\nb\n"


@pytest.mark.parametrize(("action", "end"), [("kill", "exited 137"), ("stop", "exited 3")])
def test_on_failure_ends_it(cli: Any, busybox: str, box: str, action: str, end: str) -> None:
    words = ("--health-cmd", "false", "--health-on-failure", action, *QUICK)
    command = "trap 'exit 3' TERM; while :; do sleep 0.05; done"
    cli("run", "-d", "--name", box, *words, busybox, "sh", "-c", command)
    form = "{{.State.Status}} {{.State.ExitCode}}"
    until(lambda: cli("inspect", "-f", form, box).out.strip() == end)


def test_on_failure_restarts_it(cli: Any, busybox: str, box: str) -> None:
    words = ("--health-cmd", "test -e /tmp/second", "--health-on-failure", "restart", *QUICK, "--stop-timeout", "0")
    command = "test -e /tmp/first && touch /tmp/second; touch /tmp/first; exec sleep 99"
    cli("run", "-d", "--name", box, *words, busybox, "sh", "-c", command)
    until(lambda: cli("inspect", "-f", "{{.RestartCount}}", box).out == "1\n")
    until(lambda: health(cli)["Status"] == "healthy")


def test_image_check_and_what_overrides_it(cli: Any, busybox: str, box: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f'FROM {busybox}\nHEALTHCHECK --interval=100ms --retries=1 CMD ["no-such-program"]\nCMD ["sleep", "99"]\n'
    )
    cli("build", "-t", "checked", tmp_path)
    cli("run", "-d", "--name", box, "checked")
    until(lambda: health(cli)["Status"] == "unhealthy")
    assert "no-such-program" in health(cli)["Log"][0]["Output"]
    cli("rm", "-f", box)
    cli("run", "-d", "--name", box, "--health-cmd", "true", "checked")
    shown = json.loads(cli("inspect", "-f", "{{json .Config.Healthcheck}}", box).out)
    assert shown == {"Test": ["CMD-SHELL", "true"], "Interval": 10**8, "Retries": 1}
    until(lambda: health(cli)["Status"] == "healthy")
    cli("rm", "-f", box)
    cli("run", "-d", "--name", box, "--no-healthcheck", "checked")
    assert health(cli) is None
    assert "box" in cli("ps", "--format", "{{.Names}}", "--filter", "health=none").out
