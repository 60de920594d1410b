"""What a boot starts, units that systemd accepts, and a container as a service that says when it is ready."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lxcwrap.model import systemd
from lxcwrap.model.paths import Paths

QUADLET = """
[Unit]
Description=A web server
[Container]
Image=docker.io/library/busybox:latest
Exec=sh -c "echo 100% $HOME; sleep 9"
Environment=A=b "C=d e"
PublishPort=8080:80
ReadOnly=yes
[Service]
Restart=always
[Install]
WantedBy=default.target
"""


def names(cli: Any) -> set[str]:
    return set(cli("ps", "--format", "{{.Names}}").lines)


def test_boot_starts_what_ran_and_what_is_to_run_always(cli: Any, busybox: str, root: str) -> None:
    cli("run", "-d", "--name", "ran", busybox, "sleep", "99")
    cli("run", "-d", "--name", "cut", busybox, "sleep", "99")
    cli("run", "-d", "--name", "always", "--restart", "always", busybox, "sleep", "99")
    cli("run", "-d", "--name", "unless", "--restart", "unless-stopped", busybox, "sleep", "99")
    cli("run", "-d", "--name", "done", busybox, "true")
    cli("stop", "-t", "0", "always", "unless")
    identity = cli("inspect", "-f", "{{.Id}}", "cut").out.strip()
    with open(f"{root}/containers/{identity}/state.json") as stream:
        os.kill(json.load(stream)["supervisor"], signal.SIGKILL)  # a power cut, for this one
    cli("system", "stop")
    assert names(cli) == set()
    assert set(cli("system", "start").lines) == {"ran", "cut", "always"}
    assert names(cli) == {"ran", "cut", "always"}
    cli("stop", "-t", "0", "always")
    assert cli("system", "start").out == "", "once in each boot"
    os.unlink(f"{Paths(root).run}/started")  # what a reboot does
    assert cli("system", "start").lines == ["always"]
    cli("rm", "-f", "ran", "cut", "always", "unless", "done")


def test_service_is_ready_when_healthy_and_stops_when_asked(cli: Any, busybox: str, tmp_path: Path) -> None:
    words = ("--health-cmd", "test -e /tmp/up", "--health-interval", "100ms")
    cli("create", "--name", "web", *words, busybox, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(20)
        service = cli.popen("system", "serve", "web", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert heard.recv(999).startswith(b"STATUS=waiting")
        cli("exec", "web", "touch", "/tmp/up")
        assert heard.recv(999).startswith(b"READY=1")
        service.send_signal(signal.SIGTERM)
        assert heard.recv(999) == b"STOPPING=1"
        assert service.wait(timeout=20) == 0
    assert cli("inspect", "-f", "{{.State.ExitCode}}", "web").out == "5\n"
    cli("rm", "web")


def verify(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True)
    about = [line for line in done.stderr.splitlines() if name in line]
    assert not about, done.stderr


def test_units_are_what_systemd_takes(cli: Any, busybox: str, tmp_path: Path, needs: Callable[..., None]) -> None:
    needs("systemd-analyze")
    program = [shutil.which("true") or "/bin/true", "--root", "/var/lib/a b%c"]
    verify(tmp_path, "boot.service", systemd.host_unit(program, "/var/lib/a b%c"))
    verify(tmp_path, "web.service", systemd.container_unit(program, "/var/lib/lxcwrap", "web"))
    verify(tmp_path, "quadlet.service", systemd.quadlet(QUADLET, "web.container", program, "/var/lib/lxcwrap"))
    cli("create", "--name", "unit", "--stop-timeout", "77", busybox, "true")
    printed = cli("generate", "systemd", "unit").out
    assert "system serve unit\n" in printed and "Type=notify" in printed and "TimeoutStopSec=107" in printed
    cli("rm", "unit")


def test_quadlet(cli: Any, tmp_path: Path) -> None:
    text = systemd.quadlet(QUADLET, "/x/web.container", ["/bin/lxcwrap"], "/r")
    made = next(line for line in text.splitlines() if line.startswith("ExecStartPre=/bin/lxcwrap create"))
    assert made == (
        "ExecStartPre=/bin/lxcwrap create --env=A=b \"--env=C=d e\" --publish=8080:80 --read-only --name systemd-web "
        "docker.io/library/busybox:latest sh -c \"echo 100%% $$HOME; sleep 9\""
    )  # fmt: skip
    assert text.count("Restart=") == 1 and "WantedBy=default.target" in text and "multi-user" not in text
    for bad, says in (
        ("[Container]\nImage=x\nColour=red\n", "does not know Colour="),
        ("[Container]\nExec=x\n", "names no Image"),
        ("Image=x\n", "line 1"),
        ("[Pod]\n", "no section"),
        ("[Container]\nImage=x\nReadOnly=maybe\n", "not yes or no"),
    ):
        (tmp_path / "bad.container").write_text(bad)
        refused = cli("generate", "systemd", "--quadlet", tmp_path / "bad.container", check=False)
        assert refused.code and says in refused.err and "bad.container" in refused.err, refused


def test_enable_without_systemd(cli: Any) -> None:
    if not os.path.isdir("/run/systemd/system"):
        refused = cli("system", "enable", check=False)
        assert refused.code == 1 and "not booted by systemd" in refused.err
