"""A full disk during commit, import and build: one line, and nothing half-made."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli
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
