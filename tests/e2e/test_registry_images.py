"""tag, images, history, rmi, image prune, save and load on one host."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.image_files import image, layer, snapshot, tar_of, write_layout

Cli = Any


def load(cli: Cli, place: Path, name: str, **files: bytes) -> str:
    """An image with one layer of these files, named ``name``; returns its ID."""
    made = image([layer(files)], run={"Labels": {"color": name.partition(":")[0]}})
    layout = write_layout(place, {"t": made})
    document = json.loads((layout / "index.json").read_text())
    document["manifests"][0]["annotations"] = {"io.containerd.image.name": f"docker.io/library/{name}"}
    (layout / "index.json").write_text(json.dumps(document))
    assert cli("load", input=tar_of(layout)).lines[-1] == f"Loaded image: {name}"
    return made.config


@pytest.fixture
def red(cli: Cli, tmp_path: Path) -> Any:
    yield load(cli, tmp_path / "red", "red:1", a=b"red")
    left = cli("images", "-q").lines
    if left:
        cli("rmi", "-f", *left)


def test_listing_and_filters(cli: Cli, red: str, tmp_path: Path) -> None:
    blue = load(cli, tmp_path / "blue", "blue:2", a=b"blue")
    assert sorted(cli("images", "-q", "--no-trunc").lines) == sorted([red, blue])
    assert cli("images", "-q", "--no-trunc", "red").lines == [red]
    assert cli("images", "-q", "--no-trunc", "--filter", "reference=bl*").lines == [blue]
    assert cli("images", "-q", "--no-trunc", "--filter", "label=color=blue").lines == [blue]
    assert cli("images", "-q", "--filter", "dangling=true").lines == []
    row = cli("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", "red").lines
    assert row == [f"red:1 {red[7:19]}"]
    assert cli("images").lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert "DIGEST" in cli("images", "--digests").lines[0]
    assert cli("images", "--filter", "shape=round", check=False).code == 1


def test_history(cli: Cli, red: str) -> None:
    rows = [json.loads(line) for line in cli("history", "--no-trunc", "--format", "json", "red:1").lines]
    assert [(row["ID"], row["CreatedBy"]) for row in rows] == [(red, "step 0")]
    assert cli("history", "no-such", check=False).code == 1


def test_tag_and_rmi(cli: Cli, red: str) -> None:
    cli("tag", "red:1", "localhost:5000/red:x")
    cli("tag", red[7:19], "red:2")
    assert cli("rmi", "red:2").lines == ["Untagged: red:2"]
    refused = cli("rmi", red[7:19], check=False)
    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert cli("images", "-q", "localhost:5000/red").lines
    lines = cli("rmi", "-f", red[7:19]).lines
    assert {"Untagged: red:1", "Untagged: localhost:5000/red:x", f"Deleted: {red}"} <= set(lines)
    assert cli("images", "-q").lines == []
    gone = cli("rmi", "red:1", check=False)
    assert gone.code == 1 and gone.err.startswith("lxcwrap: no such image: red:1")
    assert cli("tag", "red:1", "x:y", check=False).code == 1


def test_removing_the_last_name_removes_everything(cli: Cli, red: str) -> None:
    assert f"Deleted: {red}" in cli("rmi", "red:1").lines
    left = [path for path in snapshot(cli.root) if path.startswith(("layers/", "blobs/sha256/"))]
    assert left == []


def test_prune(cli: Cli, red: str, tmp_path: Path) -> None:
    load(cli, tmp_path / "other", "red:1", a=b"another red")
    assert cli("images", "-q", "--no-trunc", "--filter", "dangling=true").lines == [red]
    assert "[y/N]" in cli("image", "prune", input=b"n\n").out
    assert f"deleted: {red}" in cli("image", "prune", "-f").lines
    assert cli("images", "-q", "red:1").lines
    pruned = cli("image", "prune", "-a", "-f").lines
    assert "untagged: red:1" in pruned and pruned[-1] == "Total reclaimed space: 10.2kB"
    assert cli("images", "-q").lines == []


def test_save_is_the_same_each_time_and_comes_back(cli: Cli, red: str, tmp_path: Path, fresh_cli: Cli) -> None:
    archive = tmp_path / "red.tar"
    cli("save", "-o", archive, "red:1")
    with cli.popen("save", "red", stdout=subprocess.PIPE) as saving:
        assert saving.communicate()[0] == archive.read_bytes()
    (tmp_path / "red.tar.gz").write_bytes(gzip.compress(archive.read_bytes()))
    assert fresh_cli("load", "-q", "-i", tmp_path / "red.tar.gz").lines == ["Loaded image: red:1"]
    assert fresh_cli("images", "-q", "--no-trunc").lines == [red]
    fresh_cli("save", "-o", tmp_path / "again.tar", "red:1")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()


def test_save_writes_a_device_and_does_not_replace_it(cli: Cli, red: str, tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    cli("save", "-o", tmp_path / "null", red)
    assert stat.S_ISCHR(os.stat(tmp_path / "null").st_mode)


def test_save_refuses_a_terminal_and_leaves_no_half_file(cli: Cli, red: str, tmp_path: Path) -> None:
    child = cli.terminal("save", "red:1")
    child.expect("cannot save to a terminal")
    child.expect("EOF|$")
    child.close()
    assert child.exitstatus == 1
    assert cli("save", "-o", tmp_path / "x.tar", "no-such", check=False).code == 1
    assert list(tmp_path.glob("x.tar*")) == []


def archive(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


EVER = json.dumps(  # an index that refers to itself, whatever its digest
    {"manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{'a' * 64}", "size": 1}]}
).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage" * 1000,
        gzip.compress(b"garbage" * 1000),
        gzip.compress(b"x" * 5000)[:30],
        archive({"manifest.json": b"[" * 50_000}),
        archive({"manifest.json": b'[{"Config": "c", "RepoTags": [5], "Layers": []}]', "c": b"{}"}),
        archive(
            {"manifest.json": b'[{"Config": "c", "RepoTags": [], "Layers": []}]', "c": b'{"rootfs": {"x": "\\ud800"}}'}
        ),
        archive({"oci-layout": b"{}", "index.json": EVER, f"blobs/sha256/{'a' * 64}": EVER}),
    ],
)
def test_load_of_garbage(cli: Cli, content: bytes) -> None:
    cli("images")
    before = snapshot(cli.root)
    done = cli("load", input=content, check=False)
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert snapshot(cli.root) == before


def test_load_checks_digests(cli: Cli, tmp_path: Path) -> None:
    made = image([layer({"a": b"x"})])
    layout = write_layout(tmp_path / "oci", {"example.com/x:t": made})
    (layout / "blobs" / made.layers[0].replace(":", "/")).write_bytes(b"other")
    cli("images")
    before = snapshot(cli.root)
    done = cli("load", input=tar_of(layout), check=False)
    assert done.code == 1 and "does not match its digest" in done.err
    assert snapshot(cli.root) == before


def test_load_on_a_full_disk(cli: Cli, tmp_path: Path) -> None:
    import os

    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=711", "tmpfs", str(place)], check=True)
    try:
        small = type(cli)(str(place))
        small("images")
        before = snapshot(str(place))
        big = write_layout(tmp_path / "big", {"x:t": image([layer({"a": os.urandom(5_000_000)})])})
        done = small("load", input=tar_of(big), check=False)
        assert done.code == 1 and "is full" in done.err
        assert snapshot(str(place)) == before
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_image_that_a_container_uses(cli: Cli) -> None:
    busybox = "used:1"
    cli("template", "build", "busybox", "-t", busybox)
    cli("create", "--name", "user", busybox, "true")
    for name in (busybox, cli("images", "-q", busybox).lines[0]):
        refused = cli("rmi", name, check=False)
        assert (refused.code, len(refused.err.splitlines())) == (1, 1)
        assert "container user" in refused.err
    cli("image", "prune", "-a", "-f")
    assert cli("images", "-q", busybox).lines
    cli("rmi", "-f", cli("images", "-q", busybox).lines[0])
    assert cli("start", "-a", "user").code == 0
    cli("rm", "user")
    assert [path for path in snapshot(cli.root) if path.startswith(("layers/", "blobs/sha256/"))] == []


def test_bars_on_a_terminal(cli: Cli, registry: str) -> None:
    name = f"{registry}/bars:1"
    cli("template", "build", "busybox", "-t", name)
    for verb, last in (("push", "digest: sha256:"), ("pull", "Status: Downloaded newer image")):
        child = cli.terminal(verb, name)
        child.expect(last)
        child.wait()
        assert child.exitstatus == 0
        cli("rmi", "-f", *cli("images", "-q").lines)
