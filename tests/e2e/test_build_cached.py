"""A build that finds everything in the cache: it loads, starts and writes next to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.test_startup import HEAVY, loaded_modules

NOT_NEEDED = {"_hashlib", "lxcwrap.model.container", "lxcwrap.runtime.spawn", "lxcwrap.network.build", "urllib.request"}


def test_cached_build_loads_nothing_that_running_needs(cli: Any, root: str, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo a >/a\nWORKDIR /w\nRUN echo b >/b\n")
    first = cli("build", "-q", "--network", "none", tmp_path).out
    loaded = loaded_modules(root, "build", "-q", "--network", "none", str(tmp_path))
    assert "lxcwrap.build.executor" in loaded
    assert not loaded & (HEAVY | NOT_NEEDED)
    assert cli("build", "-q", "--network", "none", tmp_path).out == first


def test_metadata_after_cached_steps_changes_the_image_alone(cli: Any, busybox: str, tmp_path: Path) -> None:
    text = f"FROM {busybox}\nRUN echo same >/same\n"
    images = []
    for label in ("one", "two", "one"):
        (tmp_path / "Dockerfile").write_text(f"{text}LABEL l={label}\n")
        done = cli("build", "--progress", "plain", "--network", "none", "--iidfile", tmp_path / "id", tmp_path)
        assert done.err.count("CACHED") == (2 if images else 1)
        images.append((tmp_path / "id").read_text())
    assert images[0] == images[2] != images[1]
    layers = {cli("inspect", "-f", "{{json .RootFS.Layers}}", image).out for image in images}
    assert len(layers) == 1
