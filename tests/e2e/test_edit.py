"""``container edit`` on real containers: what changes, what stays, and what happens when it does not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_a_running_container_keeps_its_files(cli: Any, busybox: str) -> None:
    old = ("-e", "A=1", "-e", "B=2", "-l", "x=y", "-v", "first:/one", "-p", "38081:80")
    before = cli("run", "-d", "--name", "web", *old, busybox, "sleep", "600").out
    cli("exec", "web", "sh", "-c", "echo kept > /root-file; echo kept > /one/f")
    new = ("-e", "A=3", "--env-rm", "B", "--label-rm", "x", "-v", "second:/two", "--volume-rm", "/one")
    cli("container", "edit", *new, "--publish-rm", "80", "-p", "38082:81", "web")
    assert cli("inspect", "-f", "{{.Id}} {{.State.Status}}", "web").out.split() == [before.strip(), "running"]
    assert cli("exec", "web", "cat", "/root-file").out == "kept\n"
    shown = cli("exec", "web", "env").lines
    assert "A=3" in shown and "B=2" not in shown
    assert "38082" in cli("port", "web").out and "38081" not in cli("port", "web").out
    assert cli("exec", "web", "ls", "/two").code == 0
    assert Path(cli.root, "volumes", "first", "f").read_text() == "kept\n"
    assert cli("volume", "rm", "second", check=False).code == 1
    assert cli("volume", "rm", "first").code == 0


def test_what_does_not_start_is_taken_back(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "safe", "-e", "A=1", busybox, "sleep", "600")
    cli("exec", "safe", "touch", "/kept")
    missing = "type=bind,src=/not/there,dst=/x"
    failed = cli("container", "edit", "-e", "A=2", "--mount", missing, "safe", check=False)
    assert failed.code and "bind source path does not exist" in failed.err
    assert cli("exec", "safe", "sh", "-c", "ls /kept; echo $A").lines == ["/kept", "1"]
    gone = cli("container", "edit", "--env-rm", "NONE", "safe", check=False)
    assert gone.code and "no environment variable NONE" in gone.err
    assert cli("container", "edit", "safe", check=False).code
