"""A system container: systemd as the container's init, to a usable state and down again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import Cli

DOCKERFILE = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends systemd systemd-sysv dbus && apt-get clean
"""


@pytest.fixture(scope="module")
def image(cli: Cli, debian: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("systemd")
    Path(place, "Dockerfile").write_text(DOCKERFILE.format(base=debian))
    cli("build", "-q", "-t", "debian-with-systemd", place, timeout=300)
    return "debian-with-systemd"


def settled(cli: Cli) -> str:
    """What systemd says of the whole system once it has booted."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        said = cli("exec", "machine", "systemctl", "is-system-running", check=False).out.strip()
        if said not in ("", "offline", "initializing", "starting"):
            return said
        time.sleep(0.1)
    return "still starting"


def test_boots_works_and_stops(cli: Cli, image: str) -> None:
    cli("run", "-d", "--system", "--name", "machine", "-p", "127.0.0.1::80", image)
    assert settled(cli) in ("running", "degraded")
    assert cli("exec", "machine", "cat", "/proc/1/comm").out == "systemd\n"
    unit = ("systemd-run", "--wait", "--pipe", "--quiet", "-p", "DynamicUser=no", "echo", "from a unit")
    assert cli("exec", "machine", *unit).out == "from a unit\n"
    assert "Started" in cli("logs", "machine").out or "Reached target" in cli("logs", "machine").out
    began = time.monotonic()
    cli("stop", "machine")
    assert time.monotonic() - began < 8, "systemd was asked to halt, not killed"
    assert cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "machine").out == "exited 0\n"
    cli("start", "machine")
    assert settled(cli) in ("running", "degraded"), "it boots a second time from what it wrote"
    cli("rm", "-f", "machine")
