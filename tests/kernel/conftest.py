"""Each test here has a mount namespace of its own: what it mounts is gone with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lxcwrap.kernel import mount
from lxcwrap.model.paths import Paths
from lxcwrap.store.database import Store


@pytest.fixture(autouse=True)
def own_mounts() -> Iterator[None]:
    if os.geteuid():
        pytest.skip("needs root")
    with mount.private_namespace():
        yield


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A fresh state root."""
    opened = Store(Paths(str(tmp_path_factory.mktemp("state"))))
    yield opened
    opened.close()


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A container's directory, with the rootfs to mount on."""
    (tmp_path / "container" / "rootfs").mkdir(parents=True)
    return str(tmp_path / "container")
