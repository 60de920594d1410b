"""Builds that fail, are interrupted or killed: what they leave, what they say, and how the next one goes on."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.model.paths import Paths

MARK = "86413"  # seconds of a sleep that nobody else sleeps


def _write(place: Path, dockerfile: str) -> Path:
    (place / "Dockerfile").write_text(dockerfile)
    return place


def _processes() -> list[str]:
    """Command lines of the sleeping steps."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        found += [line] if MARK in line else []
    return found


def _left(root: str) -> dict[str, object]:
    """Whatever of a build can be seen on the host, but for the cache."""
    paths = Paths(root)
    return {
        "processes": _processes(),
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if paths.staging in line],
        "staging": os.listdir(paths.staging),
        "cgroups": [place for place, _, _ in os.walk("/sys/fs/cgroup") if "build-" in place],
        "liblxc": [kept for kept in ("/run/lxc", "/run/lxc/lock") if os.path.exists(f"{kept}{paths.staging}")],
    }


NOTHING: dict[str, object] = {"processes": [], "mounts": [], "staging": [], "cgroups": [], "liblxc": []}


def _until_nothing_is_left(root: str) -> None:
    """What is killed takes a moment to go."""
    deadline = time.monotonic() + 5
    while _left(root) != NOTHING and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _left(root) == NOTHING


def _interrupted(cli: Any, place: Path, number: int, when: bytes = b" spoken\n") -> subprocess.Popen[bytes]:
    """A build that gets the signal once it has written ``when``, which is after its step began to run."""
    build = cli.popen("build", "--progress", "plain", "-t", "never", place, stderr=subprocess.PIPE)
    assert build.stderr
    while when not in (line := build.stderr.readline()):
        assert line, "the build ended before its step spoke"
    build.send_signal(number)
    build.wait(timeout=20)
    build.stderr.close()
    return build  # type: ignore[no-any-return]


SLEEPER = f"RUN echo first >/first\nRUN echo spoken; sleep {MARK} & sleep {MARK}\n"


@pytest.mark.parametrize(
    ("number", "when", "code"),
    [
        (signal.SIGINT, b" spoken\n", 130),
        (signal.SIGTERM, b" spoken\n", 143),
        (signal.SIGINT, b"[3/3] RUN", 130),  # its container is only about to start
    ],
)
def test_interrupted_step_leaves_nothing(
    cli: Any, root: str, busybox: str, tmp_path: Path, number: int, when: bytes, code: int
) -> None:
    build = _interrupted(cli, _write(tmp_path, f"FROM {busybox}\n{SLEEPER}"), number, when)
    assert build.returncode == code
    _until_nothing_is_left(root)
    assert cli("image", "inspect", "never", check=False).code == 1


def test_after_a_killed_build_the_next_goes_on(cli: Any, root: str, busybox: str, tmp_path: Path) -> None:
    build = _interrupted(cli, _write(tmp_path, f"FROM {busybox}\nENV a=b\n{SLEEPER}"), signal.SIGKILL)
    assert build.returncode == -signal.SIGKILL
    _write(tmp_path, f"FROM {busybox}\nENV a=b\n{SLEEPER.replace(MARK, '0')}")
    again = cli("build", "--progress", "plain", tmp_path)
    assert again.err.count("CACHED") == 2  # the base and the step that was finished
    _until_nothing_is_left(root)


def test_failing_stage_stops_the_others(cli: Any, root: str, busybox: str, tmp_path: Path) -> None:
    text = (
        f"FROM {busybox} AS slow\nRUN sleep {MARK}\nFROM {busybox} AS fails\nRUN sleep 0.3; exit 42\n"
        f"FROM {busybox}\nCOPY --from=slow /a /a\nCOPY --from=fails /b /b\n"
    )
    began = time.monotonic()
    failed = cli("build", _write(tmp_path, text), check=False)
    assert time.monotonic() - began < 10
    assert failed.code == 1
    assert failed.err.splitlines()[-1] == "lxcwrap: Dockerfile:4: RUN sleep 0.3; exit 42: exit code 42"
    _until_nothing_is_left(root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("RUN echo words; exit 3", "exit code 3: words"),
        ('RUN ["nosuch"]', 'exec: "nosuch": executable file not found in $PATH'),
        ("RUN /etc", "exit code 126: /bin/sh: /etc: Permission denied"),
        ("RUN sh -c 'kill -9 $$'; exit $?", "exit code 137"),
        ("USER nosuch\nRUN id", "unable to find user nosuch"),
        ('SHELL ["/nosuch"]\nRUN id', "/nosuch"),
        ("RUN touch /.wh.x", "a layer cannot hold names that begin with .wh."),
    ],
)
def test_failing_steps_say_why(cli: Any, busybox: str, tmp_path: Path, line: str, message: str) -> None:
    failed = cli("build", "-q", "--network", "none", _write(tmp_path, f"FROM {busybox}\n{line}\n"), check=False)
    last = failed.err.splitlines()[-1]
    number = 1 + len(line.splitlines())
    assert (failed.code, failed.out) == (1, "")
    assert last.startswith(f"lxcwrap: Dockerfile:{number}: ") and message in last


def test_quiet_build_shows_a_failed_steps_output(cli: Any, busybox: str, tmp_path: Path) -> None:
    failed = cli("build", "-q", _write(tmp_path, f"FROM {busybox}\nRUN echo one; echo two; false\n"), check=False)
    assert " one\n" in failed.err and " two\n" in failed.err


def test_image_id_file_of_a_failed_build_is_gone(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("another image")
    cli("build", "--iidfile", tmp_path / "id", _write(tmp_path, f"FROM {busybox}\nRUN false\n"), check=False)
    assert not (tmp_path / "id").exists()
    built = cli("build", "-q", "--iidfile", tmp_path / "id", _write(tmp_path, f"FROM {busybox}\nRUN true\n"))
    assert (tmp_path / "id").read_text() == built.out.strip()


def test_image_id_to_a_device(cli: Any, busybox: str, tmp_path: Path) -> None:
    """It is written to, not replaced: as with /dev/null."""
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    cli("build", "-q", "--iidfile", tmp_path / "null", _write(tmp_path, f"FROM {busybox}\nRUN true\n"))
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)
