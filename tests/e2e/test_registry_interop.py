"""Independent readers and writers: what lxcwrap pushes or saves they read, what they write it pulls and loads."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image_files import digest, image, index, layer, tar_of, write_layout

Cli = Any
PLAIN = "--dest-tls-verify=false"


def run(*words: object, **options: Any) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hand-made image of two layers, the second hiding a file of the first."""
    tars = [layer({"a": b"one", "dir/": b"", "dir/gone": b"x"}), layer({"b": b"two", "dir/.wh.gone": b""})]
    return write_layout(tmp_path_factory.mktemp("layout") / "oci", {"t": image(tars)})


def diff_ids(cli: Cli, name: str) -> list[str]:
    return list(json.loads(cli("inspect", name).out)[0]["RootFS"]["Layers"])


EXPECTED = [
    digest(layer({"a": b"one", "dir/": b"", "dir/gone": b"x"})),
    digest(layer({"b": b"two", "dir/.wh.gone": b""})),
]


@pytest.mark.parametrize("format", ["oci", "v2s2"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_pulls_what_skopeo_pushes(
    cli: Cli, registry: str, needs: Callable[..., None], layout: Path, format: str, compression: str
) -> None:
    needs("skopeo")
    if (format, compression) == ("v2s2", "zstd"):
        return  # Docker's types know no zstd
    name = f"{registry}/skopeo-{format}-{compression}:t"
    run("skopeo", "copy", PLAIN, "--format", format, "--dest-compress-format", compression,
        f"oci:{layout}:t", f"docker://{name}")  # fmt: skip
    cli("pull", name)
    assert diff_ids(cli, name) == EXPECTED
    stack = cli("history", "-q", "--no-trunc", name).lines
    assert len(stack) == 2
    cli("rmi", name)


def test_pulls_plain_layers_and_the_right_platform(cli: Cli, tmp_path: Path) -> None:
    from tests.faulty_registry import running

    mine, other = image([layer({"a": b"1"})], compress="plain"), image([layer({"a": b"2"})], architecture="s390x")
    with running() as faulty:
        for docker in (False, True):
            faulty.add("x", "t", index({"amd64": mine, "s390x": other}, docker=docker))
            cli("pull", f"{faulty.host}/x:t")
            assert cli("images", "-q", "--no-trunc").lines == [mine.config]
            cli("rmi", f"{faulty.host}/x:t")
        cli("pull", "--platform", "linux/s390x", f"{faulty.host}/x:t")
        assert cli("images", "-q", "--no-trunc").lines == [other.config]
        cli("rmi", f"{faulty.host}/x:t")
        done = cli("pull", "--platform", "linux/arm64", f"{faulty.host}/x:t", check=False)
        assert (done.code, len(done.err.splitlines())) == (1, 1)
        assert "linux/arm64" in done.err and "linux/amd64" in done.err


def test_skopeo_and_umoci_read_what_is_pushed(
    cli: Cli, busybox: str, registry: str, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("skopeo", "umoci")
    name = f"{registry}/team/busybox:1"
    cli("tag", busybox, name)
    pushed = cli("push", name).out
    found = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}"))
    assert found["Digest"] in pushed
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path}/oci:1")
    run("umoci", "unpack", "--image", f"{tmp_path}/oci:1", f"{tmp_path}/bundle")
    assert os.path.exists(f"{tmp_path}/bundle/rootfs/bin/busybox")
    before = diff_ids(cli, name)
    cli("rmi", "-f", cli("images", "-q", name).lines[0])
    cli("pull", name)
    assert diff_ids(cli, name) == before
    cli("tag", name, busybox)


def test_second_push_sends_nothing_and_another_repository_is_mounted(cli: Cli, busybox: str, registry: str) -> None:
    for name in ("first", "second"):
        cli("tag", busybox, f"{registry}/{name}:1")
    first = cli("push", f"{registry}/first:1").out
    assert "Layer already exists" in cli("push", f"{registry}/first:1").out
    second = cli("push", f"{registry}/second:1").out
    assert "Mounted from " in second
    assert first.splitlines()[-1].split()[2] == second.splitlines()[-1].split()[2]


def test_push_of_all_tags_and_pull_of_all_tags(cli: Cli, busybox: str, registry: str) -> None:
    for tag in ("1", "2"):
        cli("tag", busybox, f"{registry}/many:{tag}")
    cli("push", "-a", f"{registry}/many")
    cli("rmi", f"{registry}/many:1", f"{registry}/many:2")
    assert cli("pull", "-q", "-a", f"{registry}/many").lines == [f"{registry}/many:1", f"{registry}/many:2"]
    found = cli("search", "--format", "{{.Name}}", f"{registry}/man").lines
    assert found == [f"{registry}/many"]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    place = tmp_path_factory.mktemp("buildah")
    yield ["buildah", "--root", f"{place}/root", "--runroot", f"{place}/run", "--storage-driver", "vfs"]


def test_buildah_builds_from_it_and_back(
    cli: Cli, busybox: str, registry: str, needs: Callable[..., None], buildah: list[str], tmp_path: Path
) -> None:
    needs("buildah")
    name = f"{registry}/base:1"
    cli("tag", busybox, name)
    cli("push", name)
    (tmp_path / "Dockerfile").write_text(f"FROM {name}\nCOPY hello /hello\nLABEL made=buildah\n")
    (tmp_path / "hello").write_text("hello from buildah\n")
    run(*buildah, "bud", "--tls-verify=false", "-t", "made", str(tmp_path))
    run(*buildah, "push", "--tls-verify=false", "made", f"docker://{registry}/made:1")
    cli("pull", f"{registry}/made:1")
    document = json.loads(cli("inspect", f"{registry}/made:1").out)[0]
    assert document["Config"]["Labels"]["made"] == "buildah"
    assert len(document["RootFS"]["Layers"]) == 2


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_loads_what_skopeo_writes(
    cli: Cli, needs: Callable[..., None], layout: Path, tmp_path: Path, transport: str
) -> None:
    needs("skopeo")
    run("skopeo", "copy", f"oci:{layout}:t", f"{transport}:{tmp_path}/x.tar:example.com/x:t")
    assert cli("load", "-i", tmp_path / "x.tar").lines[-1] == "Loaded image: example.com/x:t"
    assert diff_ids(cli, "example.com/x:t") == EXPECTED
    cli("rmi", "example.com/x:t")


def test_loads_what_umoci_writes(cli: Cli, needs: Callable[..., None], tmp_path: Path) -> None:
    needs("umoci")
    run("umoci", "init", "--layout", f"{tmp_path}/oci")
    run("umoci", "new", "--image", f"{tmp_path}/oci:t")
    (tmp_path / "file").write_text("from umoci")
    run("umoci", "insert", "--image", f"{tmp_path}/oci:t", str(tmp_path / "file"), "/file")
    said = cli("load", input=tar_of(tmp_path / "oci")).lines[-1]
    assert said.startswith("Loaded image ID: sha256:")
    cli("rmi", said.split()[-1])


def test_skopeo_and_umoci_read_what_is_saved(
    cli: Cli, busybox: str, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("skopeo", "umoci")
    archive = tmp_path / "saved.tar"
    cli("save", "-o", archive, busybox)
    for transport in ("docker-archive", "oci-archive"):
        assert json.loads(run("skopeo", "inspect", f"{transport}:{archive}"))["Layers"] == diff_ids(cli, busybox)
    run("tar", "-xf", archive, "-C", tmp_path)
    assert run("umoci", "ls", "--layout", str(tmp_path)).split() == ["latest"]
    run("umoci", "unpack", "--image", f"{tmp_path}:latest", f"{tmp_path}/bundle")
    assert os.path.exists(f"{tmp_path}/bundle/rootfs/bin/busybox")
