"""Too little memory for a command: one clear line, or an end by the kernel's hand; nothing is left of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.crash.kernel_lists import KernelLists, leaked
from tests.image_files import image, layer, tar_of, write_layout

_COMMANDS = (
    "run --rm busybox true", "run --name x busybox sh -c exit", "exec running true", "build -q --no-cache {place}",
    "load -q -i {place}/archive.tar", "save -o {place}/saved.tar busybox", "commit running made", "ps -a",
    "cp running:/bin/busybox {place}/copied", "volume create vol",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(cli: Cli, busybox: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Files for the commands; a container runs."""
    place = tmp_path_factory.mktemp("memory")
    made = image([layer({"x": os.urandom(3 << 20)}), layer({"y": os.urandom(3 << 20)})])
    write_layout(place / "layout", {"t": made})
    (place / "archive.tar").write_bytes(tar_of(place / "layout"))
    (place / ".dockerignore").write_text("*\n!Dockerfile\n")
    (place / "Dockerfile").write_text("FROM busybox\nRUN echo one >/one\nCOPY Dockerfile /two\n")
    cli("run", "-d", "--name", "running", busybox, "sleep", "1000")
    yield place
    cli("rm", "-f", "running")


def clean(cli: Cli) -> None:
    others = set(cli("ps", "-a", "--format", "{{.Names}}").lines) - {"running"}
    if others:
        cli("rm", "-f", *others)
    if "made:latest" in cli("images", "--format", "{{.Repository}}:{{.Tag}}").lines:
        cli("rmi", "made")
    cli("volume", "prune", "-f", "--filter", "all=true")
    cli("builder", "prune", "-af")
    cli("image", "prune", "-f")
    assert os.listdir(f"{cli.root}/tmp") == []
    assert cli("exec", "running", "echo", "alive").out == "alive\n"


@pytest.mark.parametrize("megabytes", [32, 48])
def test_little_address_space(cli: Cli, place: Path, megabytes: int) -> None:
    before = KernelLists.settled(cli.root)
    limited = ["prlimit", f"--as={megabytes << 20}"]
    for words in _COMMANDS:
        argv = [*limited, *cli.argv(*words.format(place=place).split())]
        done = subprocess.run(argv, env=cli.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        said = done.stderr.decode()
        assert done.returncode == 0 or said.splitlines()[-1].startswith("lxcwrap: "), said
        assert "Traceback" not in said
    clean(cli)
    assert leaked(cli.root, before) == ""


@pytest.fixture
def small_group() -> Iterator[str]:
    """A memory control group of 20 MB; the file that takes processes into it."""
    v1 = Path("/sys/fs/cgroup/memory")
    group = (v1 if v1.is_dir() else Path("/sys/fs/cgroup")) / f"lxcwrap-test-{os.getpid()}"
    group.mkdir()
    try:
        limit = group / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")
        if not limit.exists():
            pytest.skip("control groups here have no memory controller")
        limit.write_text(str(20 << 20))
        yield str(group / "cgroup.procs")
    finally:
        subprocess.run(["rmdir", str(group)], check=False, capture_output=True)


def test_the_kernel_kills_what_takes_too_much(cli: Cli, place: Path, small_group: str) -> None:
    """Whichever of a command's processes it chooses."""
    before = KernelLists.settled(cli.root)
    enter = [shutil.which("sh") or "sh", "-c", f'echo $$ >{small_group}; exec "$@"', "sh"]
    for words in _COMMANDS:
        argv = [*enter, *cli.argv(*words.format(place=place).split())]
        done = subprocess.run(argv, env=cli.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        said = done.stderr.decode()
        assert done.returncode in (0, -9) or said.splitlines()[-1].startswith("lxcwrap: "), (words, done)
        assert "Traceback" not in said
    clean(cli)
    assert leaked(cli.root, before) == ""
