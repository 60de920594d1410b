"""``wait --condition`` on real containers, and logs with old files."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any


def waiting(cli: Any, condition: str) -> subprocess.Popen[bytes]:
    process: subprocess.Popen[bytes] = cli.popen("wait", "--condition", condition, "box", stdout=subprocess.PIPE)
    time.sleep(0.7)
    assert process.poll() is None
    return process


def test_conditions(cli: Any, busybox: str) -> None:
    words = ("--restart", "on-failure:1", "--health-cmd", "test -e /tmp/up", "--health-interval", "50ms")
    cli("run", "-d", "--name", "box", *words, busybox, "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done")
    healthy = waiting(cli, "healthy")
    cli("exec", "box", "touch", "/tmp/up")
    assert healthy.communicate(timeout=20)[0] == b"0\n"
    once = waiting(cli, "next-exit")
    cli("exec", "box", "kill", "1")
    assert once.communicate(timeout=20)[0] == b"7\n", "the policy starts it again, yet it has ended"
    cli("stop", "box")
    again = waiting(cli, "next-exit")
    gone = waiting(cli, "removed")
    cli("start", "box")
    cli("kill", "box")
    assert again.communicate(timeout=20)[0] == b"137\n"
    cli("rm", "box")
    assert gone.communicate(timeout=20)[0] == b"137\n"


def test_what_cannot_be(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "plain", busybox, "sleep", "99")
    assert "has no health check" in cli("wait", "--condition", "healthy", "plain", check=False).err
    assert "choose not-running" in cli("wait", "--condition", "rich", "plain", check=False).err
    cli("rm", "-f", "plain")


def test_logs_reads_compressed_old_files(cli: Any, busybox: str) -> None:
    words = ("--log-opt", "max-size=4k", "--log-opt", "max-file=9")
    cli(
        "run",
        "--name",
        "talker",
        *words,
        busybox,
        "sh",
        "-c",
        "for n in $(seq 300); do echo line $n; sleep 0.001; done",
    )
    identity = cli("inspect", "-f", "{{.LogPath}}", "talker").out.strip()
    assert Path(f"{identity}.2.gz").exists()
    assert cli("logs", "talker").lines == [f"line {number}" for number in range(1, 301)]
    assert cli("logs", "--tail", "2", "talker").lines == ["line 299", "line 300"]
    cli("rm", "talker")
