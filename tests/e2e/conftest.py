"""Fixtures of the end-to-end tests alone: the programs that try things from inside a container."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.boxed import Box, boxed

SOURCES = Path(__file__).parent / "inside"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Path:
    """The folder of the compiled programs of ``inside/``, static."""
    needs("gcc")
    place = tmp_path_factory.mktemp("inside")
    bare = ["-nostdlib", "-ffreestanding", "-static-pie", "-fPIE", "-fno-stack-protector"]
    for source in SOURCES.glob("*.c"):
        flags = bare if source.stem == "loader" else ["-static"]
        if source.stem == "loader" and os.uname().machine != "x86_64":
            continue
        subprocess.run(["gcc", "-O1", *flags, "-o", place / source.stem, source, "-lrt"], check=True)
    place.chmod(0o755)
    return place


@pytest.fixture(scope="module")
def box(needs: Callable[..., None]) -> Iterator[Box]:
    """A network namespace with a host's firewall and lxcwrap in it."""
    needs("nsenter", "iptables-restore")
    if os.geteuid():
        pytest.skip("needs root")
    with boxed() as made:
        yield made
