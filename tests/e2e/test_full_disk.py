"""A full disk at any time: one line, nothing half-made, what runs goes on, and things can be removed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli, Result
from tests.faulty_registry import running
from tests.image_files import image, layer, tar_of, write_layout
from tests.unit.tars import member, tar


@pytest.fixture
def small_disk(fresh_cli: Cli) -> Iterator[Cli]:
    """A state root on a file system of 24 MB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=711", "none", fresh_cli.root], check=True)
    try:
        yield fresh_cli
        containers = fresh_cli("ps", "-aq").out.split()
        if containers:
            fresh_cli("rm", "-f", *containers)
    finally:
        subprocess.run(["umount", fresh_cli.root], check=True)


@pytest.fixture
def based(small_disk: Cli) -> Cli:
    small_disk("template", "build", "busybox", "-t", "busybox")
    return small_disk


def layers_of(cli: Cli) -> list[str]:
    return sorted(os.listdir(Path(cli.root, "layers")))


def test_commit_and_import_on_a_full_disk(small_disk: Cli) -> None:
    cli = small_disk
    cli("template", "build", "busybox", "-t", "busybox")
    made = "dd if=/dev/urandom of=/big bs=1M count=9 2>/dev/null; dd if=/dev/urandom of=/two bs=1M count=4 2>/dev/null"
    cli("run", "--network", "none", "--name", "full", "busybox", "sh", "-c", made)
    layers, images = layers_of(cli), cli("images", "-aq").lines
    archive = tar(member("big", content=os.urandom(20 << 20)))
    for words, given in ((["commit", "full", "me/big"], None), (["import", "-", "me/big"], archive)):
        failed = cli(*words, input=given, check=False)
        assert (
            failed.code == 1 and f"the disk that holds {cli.root} is full" in failed.err and failed.err.count("\n") == 1
        )
        assert layers_of(cli) == layers and cli("images", "-aq").lines == images
        assert os.listdir(Path(cli.root, "tmp")) == []
    assert cli("run", "--network", "none", "--rm", "busybox", "echo", "alive").out == "alive\n"


@pytest.mark.parametrize("line", ["COPY big /x", "ADD big.tar /x"])
def test_build_on_a_full_disk(small_disk: Cli, tmp_path: Path, line: str) -> None:
    cli = small_disk
    content = os.urandom(30 << 20)
    (tmp_path / "big").write_bytes(content)
    (tmp_path / "big.tar").write_bytes(tar(member("big", content=content)))
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{line}\n")
    for words, given in (((tmp_path,), None), (("-",), tar(member("Dockerfile", content=content)))):
        failed = cli("build", *words, input=given, check=False)
        where = "" if given else "Dockerfile:2: "
        assert failed.code == 1
        assert failed.err.splitlines()[-1].startswith(f"lxcwrap: {where}the disk that holds {cli.root} is full")
        assert os.listdir(Path(cli.root, "tmp")) == [] == cli("images", "-aq").lines


def refused(cli: Cli, *words: object) -> Result:
    """It fails in one line that says why, and leaves nothing."""
    layers, images, containers = layers_of(cli), cli("images", "-aq").lines, cli("ps", "-aq").lines
    failed = cli(*words, check=False)
    assert failed.code in (1, 125)
    check_refusal(failed)
    assert (layers_of(cli), cli("images", "-aq").lines, cli("ps", "-aq").lines) == (layers, images, containers)
    assert os.listdir(Path(cli.root, "tmp")) == []
    return failed


def check_refusal(failed: Result) -> None:
    said = failed.err.splitlines()[-1]
    assert said.startswith("lxcwrap: ") and ("is full" in said or "No space left on device" in said)
    assert "Traceback" not in failed.err


def test_pull_and_load_on_a_full_disk(based: Cli, tmp_path: Path) -> None:
    cli = based
    big = image([layer({"a": b"a"}), layer({"b": os.urandom(15 << 20)}), layer({"c": os.urandom(15 << 20)})])
    write_layout(tmp_path / "layout", {"t": big})
    (tmp_path / "big.tar").write_bytes(tar_of(tmp_path / "layout"))
    refused(cli, "load", "-q", "-i", tmp_path / "big.tar")
    with running() as served:
        served.add("me/big", "1", big)
        refused(cli, "pull", "-q", f"{served.host}/me/big:1")
        refused(cli, "run", "--rm", f"{served.host}/me/big:1", "true")
    cli("image", "prune", "-f")
    assert cli("run", "--rm", "--network", "none", "busybox", "echo", "alive").out == "alive\n"


def test_step_of_a_build_on_a_full_disk(based: Cli, tmp_path: Path) -> None:
    cli = based
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN dd if=/dev/urandom of=/big bs=1M count=40\n")
    failed = cli("build", "--network", "none", tmp_path, check=False)
    assert failed.code == 1
    assert failed.err.splitlines()[-1].startswith("lxcwrap: Dockerfile:2: RUN dd")
    assert os.listdir(Path(cli.root, "tmp")) == []
    assert cli("run", "--rm", "--network", "none", "busybox", "echo", "alive").out == "alive\n"


def test_volume_that_is_filled_on_a_full_disk(based: Cli, tmp_path: Path) -> None:
    """The container does not start; when there is room it does, and the volume is filled whole."""
    cli = based
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY big small /data/\n")
    (tmp_path / "big").write_bytes(os.urandom(6 << 20))
    (tmp_path / "small").write_text("small")
    cli("build", "-q", "-t", "filled", tmp_path)
    cli("builder", "prune", "-af")
    with filler(cli, leave=5 << 20) as fill:
        words = ("run", "--network", "none", "-v", "data:/data", "filled", "sh", "-c", "cat /data/* | wc -c")
        failed = cli(*words, check=False)
        assert failed.code == 125 and "No space left on device" in failed.err and failed.err.count("\n") == 1
        fill.unlink()
        assert cli(*words).out == f"{(6 << 20) + 5}\n"


class filler:
    """A file in the root that leaves so many bytes."""

    def __init__(self, cli: Cli, leave: int = 0) -> None:
        self.path, self.leave = Path(cli.root, "filler"), leave

    def __enter__(self) -> Path:
        disk = os.statvfs(self.path.parent)
        size = disk.f_bavail * disk.f_frsize - self.leave
        if size > 0:
            with open(self.path, "wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, size)
        return self.path

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)


def until(true: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + 20
    while not true():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def test_what_runs_goes_on_and_what_is_there_can_be_removed(based: Cli, tmp_path: Path) -> None:
    cli = based
    cli("tag", "busybox", "other")
    cli("volume", "create", "data")
    cli("create", "--name", "idle", "-v", "/anonymous", "busybox", "true")
    cli("run", "-d", "--name", "published", "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    noisy = "while :; do echo some line of a log; sleep 0.01; done"
    cli("run", "-d", "--name", "noisy", "busybox", "sh", "-c", noisy)
    with filler(cli):
        until(lambda: os.statvfs(cli.root).f_bavail == 0, "the log does not fill the disk")
        use(cli)
    assert cli("ps", "-aq").lines == cli("volume", "ls", "-q").lines == []
    assert cli("run", "--rm", "busybox", "echo", "alive").out == "alive\n"


def use(cli: Cli) -> None:
    """Nothing can be made, what runs can be used, and all can be stopped and removed."""
    for words in ("run --rm busybox true", "create busybox true", "commit published"):
        refused(cli, *words.split())
    for kind in ("volume", "network"):  # so little that it may still fit
        made = cli(kind, "create", "more", check=False)
        if made.code:
            check_refusal(made)
        else:
            cli(kind, "rm", "more")
    assert sorted(os.listdir(Path(cli.root, "volumes"))) == sorted(cli("volume", "ls", "-q").lines)
    assert cli("exec", "published", "echo", "alive").out == "alive\n"
    assert cli("ps", "-a", "--format", "{{.Names}} {{.Status}}").out.count(" Up ") == 2
    assert len(cli("logs", "--tail", "1", "noisy").lines) == 1
    cli("stop", "-t", "0", "published")
    assert cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "published").out == "exited 137\n"
    cli("stop", "-t", "0", "noisy")
    for words in ("rm -v idle published", "volume rm data", "rmi other", "image prune -f", "container prune -f"):
        cli(*words.split())
