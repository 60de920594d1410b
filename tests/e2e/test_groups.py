"""Supplementary groups of a container's first process, in a user namespace and without."""

from __future__ import annotations

import pytest

GIVEN = ("--group-add", "44", "-u", "1000")


@pytest.mark.parametrize("options", [(), ("--userns=host",), ("--init",), ("--read-only", "--cap-drop", "ALL")])
def test_group_add(cli, busybox: str, options: tuple[str, ...]) -> None:
    assert cli("run", "--rm", *options, *GIVEN, busybox, "id", "-G").out.split() == ["0", "44"]


def test_nothing_is_gained_by_it(cli, busybox: str) -> None:
    ask = ("sh", "-c", "grep CapBnd /proc/self/status")
    with_groups = cli("run", "--rm", "--cap-drop", "SETUID", "--group-add", "44", busybox, *ask).out
    assert with_groups == cli("run", "--rm", "--cap-drop", "SETUID", busybox, *ask).out


def test_on_a_terminal(cli, busybox: str) -> None:
    child = cli.terminal("run", "--rm", "-it", *GIVEN, busybox, "sh", "-c", "id -G; echo to the terminal >/dev/tty")
    child.expect("0 44\r\n")
    child.expect("to the terminal\r\n")
    child.wait()


def test_groups_of_the_images_user(cli, busybox: str, tmp_path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {busybox}\n"
        "RUN echo 'worker:x:700:700::/:/bin/sh' >>/etc/passwd; echo 'extra:x:701:worker' >>/etc/group\n"
        "USER worker\nRUN id -G >/tmp/groups\nCMD id -G\n"
    )
    cli("build", "-t", "grouped", str(tmp_path))
    assert cli("run", "--rm", "grouped").out == "700 701\n"
    assert cli("run", "--rm", "grouped", "cat", "/tmp/groups").out == "700 701\n"
    cli("run", "-d", "--name", "grouped", "grouped", "sleep", "100")
    assert cli("exec", "grouped", "id", "-G").out == "700 701\n"
    cli("rm", "-f", "grouped")


def test_a_user_may_open_its_stdout_anew(cli, busybox: str) -> None:
    done = cli("run", "--rm", "-u", "1000", busybox, "sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr")
    assert (done.out, done.err) == ("out\n", "err\n")
