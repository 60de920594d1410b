"""A full disk during commit and import: one line, and nothing half-made."""

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
        assert failed.code == 1 and "No space left" in failed.err and failed.err.count("\n") == 1
        assert layers_of(cli) == layers and cli("images", "-aq").lines == images
        assert os.listdir(Path(cli.root, "tmp")) == []
    assert cli("run", "--network", "none", "--rm", "busybox", "echo", "alive").out == "alive\n"
