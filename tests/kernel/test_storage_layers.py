"""Layers and the store: canonical tars, independent readers, and death between the steps of adding."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lxcwrap.archive.checked import HashingWriter
from lxcwrap.archive.write import write_tree
from lxcwrap.errors import Corrupt
from lxcwrap.model.paths import Paths
from lxcwrap.storage import layers, overlay
from lxcwrap.store import layers as stored
from lxcwrap.store import staging
from lxcwrap.store.database import Store
from tests.unit.tars import member, snapshot, tar

SMALL = tar(member("a", content=b"x" * 1000), member("b", content=b"y"), member(".wh.c"))


def written(directory: str) -> bytes:
    out = io.BytesIO()
    overlay.write_layer(directory, out)
    return out.getvalue()


def test_the_same_content_is_one_layer(store: Store) -> None:
    first = layers.add_stream(store, overlay, io.BytesIO(SMALL), None)
    again = layers.add_stream(store, overlay, io.BytesIO(SMALL), None)
    upon = layers.add_stream(store, overlay, io.BytesIO(SMALL), first.chain_id)
    assert first == again and upon.diff_id == first.diff_id and upon.chain_id != first.chain_id
    assert layers.lowers(store, upon.chain_id) == tuple(
        f"{store.paths.layer(layer.chain_id)}/diff" for layer in (first, upon)
    )
    assert len(os.listdir(f"{store.paths.root}/layers")) == 2


def test_a_layer_that_was_tampered_with_is_noticed(store: Store) -> None:
    layer = layers.add_stream(store, overlay, io.BytesIO(SMALL), None)
    Path(layers.lowers(store, layer.chain_id)[0], "a").write_bytes(b"z" * 1000)
    with layers.tar(store, overlay, layer) as stream, pytest.raises(Corrupt, match="has digest"):
        while stream.read():
            pass


@pytest.mark.parametrize("content", [b"rubbish" * 200, SMALL[:1400], tar(member("../x"))])
def test_a_bad_stream_leaves_nothing(store: Store, content: bytes) -> None:
    from lxcwrap.errors import LxcwrapError

    with pytest.raises(LxcwrapError):
        layers.add_stream(store, overlay, io.BytesIO(content), None)
    assert os.listdir(f"{store.paths.root}/layers") == [] and os.listdir(store.paths.staging) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    from lxcwrap.kernel import mount

    mount.mount("tmpfs", str(tmp_path), "tmpfs", 0, "size=2m")
    small = Store(Paths(f"{tmp_path}/root"))
    content = tar(member("big", content=bytes(4 << 20)))
    with pytest.raises(OSError) as caught:
        layers.add_stream(small, overlay, io.BytesIO(content), None)
    assert caught.value.errno == 28
    assert os.listdir(f"{small.paths.root}/layers") == [] and os.listdir(small.paths.staging) == []
    layers.add_stream(small, overlay, io.BytesIO(SMALL), None)
    small.close()


STEPS: dict[str, tuple[object, str]] = {
    "while extracting": (os, "fchmod"),
    "before the rename": (os, "rename"),
    "after the rename": (stored, "_boot"),
    "while hashing": (HashingWriter, "write"),
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_the_steps(store: Store, step: str) -> None:
    """kill -9: what was staged is swept, what is known is whole, and adding again works."""
    where, name = STEPS[step]
    child = os.fork()
    if child == 0:
        setattr(where, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        mine = Store(store.paths)
        layers.add_stream(mine, overlay, io.BytesIO(SMALL), None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert store.db.execute("SELECT COUNT(*) FROM layers").fetchone()[0] == 0
    staging.sweep(store.paths)
    assert os.listdir(store.paths.staging) == []
    layer = layers.add_stream(store, overlay, io.BytesIO(SMALL), None)
    assert written(layers.lowers(store, layer.chain_id)[0]) and os.listdir(store.paths.staging) == []
    assert os.listdir(f"{store.paths.root}/layers") == [layer.chain_id[7:]]


def test_many_at_once(store: Store) -> None:
    """Several processes add the same layers."""
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                mine = Store(store.paths)
                chain = None
                for number in range(5):
                    content = tar(member(f"f{number}", content=bytes([number])))
                    chain = layers.add_stream(mine, overlay, io.BytesIO(content), chain).chain_id
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert store.db.execute("SELECT COUNT(*) FROM layers").fetchone()[0] == 5
    assert len(os.listdir(f"{store.paths.root}/layers")) == 5


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A tree with what real ones have."""
    root = tmp_path / "system"
    (root / "usr" / "share").mkdir(parents=True)
    for number in range(200):
        (root / "usr" / "share" / f"file-{number}").write_bytes(os.urandom(number * 37))
    os.link(root / "usr" / "share" / "file-7", root / "usr" / "seven")
    (root / "bin").symlink_to("usr/bin")
    (root / ("n" * 200)).write_bytes(b"long")
    (root / os.fsdecode(b"\xff\xfe")).write_bytes(b"bytes")
    os.mkfifo(root / "pipe")
    os.chown(root / "usr" / "share" / "file-9", 3_000_000, 65_534)
    (root / "usr" / "share" / "file-9").chmod(0o4711)
    with open(root / "sparse", "wb") as out:
        out.truncate(3 << 20)
        out.seek(1 << 20)
        out.write(b"island")
    return root


def test_the_same_directory_is_the_same_tar(system: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", system, copy], check=True)
    assert written(str(system)) == written(str(copy)) == written(str(system))


def test_extracted_and_written_again_is_the_same(store: Store, system: Path) -> None:
    content = written(str(system))
    layer = layers.add_stream(store, overlay, io.BytesIO(content), None)
    assert layer.size == len(content)
    assert written(layers.lowers(store, layer.chain_id)[0]) == content


def test_gnu_tar_reads_ours(system: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    read = ["tar", "-xpf", "-", "--same-owner", "--numeric-owner", "-C", tmp_path / "out"]
    subprocess.run(read, input=written(str(system)), check=True)
    assert snapshot(tmp_path / "out") == snapshot(system)


def test_times_after_the_epoch_given_are_cut(system: Path) -> None:
    out = io.BytesIO()
    write_tree(str(system), out, latest=1_000_000)
    os.utime(system / "pipe", (2_000_000, 2_000_000))
    again = io.BytesIO()
    write_tree(str(system), again, latest=1_000_000)
    assert out.getvalue() == again.getvalue()


def test_deep_trees(tmp_path: Path) -> None:
    """More directories on the way down than are kept open."""
    deep = tmp_path / "deep"
    deep.joinpath(*["d"] * 300).mkdir(parents=True)
    (deep / "d" / "x").write_bytes(b"")
    (deep / "z").write_bytes(b"")
    names = subprocess.run(["tar", "tf", "-"], input=written(str(deep)), stdout=-1, check=True).stdout.split()
    assert len(names) == 302 and names[-1] == b"z" and names[-2] == b"d/x"


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.") and len(name.encode()) < 255
)
TREES = st.recursive(
    st.binary(max_size=1500), lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
).filter(lambda tree: isinstance(tree, dict))


def build(tree: object, place: Path) -> None:
    if isinstance(tree, bytes):
        place.write_bytes(tree)
        return
    assert isinstance(tree, dict)
    place.mkdir()
    for name, inner in tree.items():
        build(inner, place / name)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=TREES)
def test_any_tree_survives(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    place = tmp_path_factory.mktemp("trees")
    build(tree, place / "in")
    content = written(str(place / "in"))
    overlay.extract(io.BytesIO(content), str(place))
    assert snapshot(place / "diff") == snapshot(place / "in")
    assert written(str(place / "diff")) == content
    shutil.rmtree(place)


def test_umoci_and_skopeo_read_our_layers(needs: Callable[..., None], system: Path, tmp_path: Path) -> None:
    """An OCI layout made by hand around one of our layers, unpacked by umoci and copied by skopeo."""
    needs("umoci", "skopeo")
    layout = tmp_path / "layout"
    _layout(layout, written(str(system)))
    subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}:t", f"oci:{tmp_path}/copied:t"], check=True)
    subprocess.run(["umoci", "unpack", "--image", f"{tmp_path}/copied:t", tmp_path / "bundle"], check=True)
    assert snapshot(tmp_path / "bundle" / "rootfs") == snapshot(system)


def _layout(place: Path, layer: bytes) -> None:
    import hashlib

    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, media: str) -> dict[str, object]:
        name = hashlib.sha256(content).hexdigest()
        (blobs / name).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{name}", "size": len(content)}

    diff_id = "sha256:" + hashlib.sha256(layer).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = {
        "schemaVersion": 2,
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": [blob(gzip.compress(layer), "layer.v1.tar+gzip")],
    }
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": "t"}
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def test_umoci_writes_layers_that_we_read(
    needs: Callable[..., None], system: Path, tmp_path: Path, store: Store
) -> None:
    """A layer with additions, whiteouts and an emptied directory, as umoci makes it."""
    needs("umoci")
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    _layout(layout, written(str(system)))
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:t", bundle], check=True)
    rootfs = bundle / "rootfs"
    (rootfs / "usr" / "seven").unlink()
    shutil.rmtree(rootfs / "usr" / "share")
    (rootfs / "new").write_bytes(b"new")
    subprocess.run(["umoci", "repack", "--image", f"{layout}:t2", bundle], check=True)
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs" / "sha256" / index["manifests"][-1]["digest"][7:]).read_text())
    chain = None
    for descriptor in manifest["layers"]:
        packed = (layout / "blobs" / "sha256" / descriptor["digest"][7:]).read_bytes()
        chain = layers.add_stream(store, overlay, io.BytesIO(gzip.decompress(packed)), chain).chain_id
    container = tmp_path / "container"
    (container / "rootfs").mkdir(parents=True)
    lowers = layers.lowers(store, chain)
    overlay.prepare(str(container), lowers, None)
    overlay.mount(str(container), lowers, f"{container}/rootfs", None)
    found, expected = snapshot(container / "rootfs", times=False), snapshot(rootfs, times=False)
    assert set(found) == set(expected)
    assert {name: facts[4] for name, facts in found.items()} == {name: facts[4] for name, facts in expected.items()}
    assert stored.find(store, chain or "") is not None


def test_a_large_layer_is_written_quickly(tmp_path: Path) -> None:
    """Not a benchmark: a guard against doing something slow for each file."""
    root = tmp_path / "many"
    for number in range(40):
        (root / f"d{number}").mkdir(parents=True)
        for inner in range(50):
            (root / f"d{number}" / f"f{inner}").write_bytes(b"x" * 2000)
    began = time.process_time()
    content = written(str(root))
    overlay.extract(io.BytesIO(content), str(tmp_path))
    assert time.process_time() - began < 4
    assert len(snapshot(tmp_path / "diff")) == 2040
