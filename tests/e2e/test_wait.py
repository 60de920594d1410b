"""``wait --condition`` on real containers."""

from __future__ import annotations

import subprocess
import time
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
