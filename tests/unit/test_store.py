"""The database decides conflicts, layers go only when nothing needs them, and crashes leave only staging."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from lxcwrap.actions import prune_images
from lxcwrap.errors import Conflict, NotFound, Unsupported
from lxcwrap.kernel import lock, process
from lxcwrap.model import digest as digests
from lxcwrap.model.container import ContainerConfig
from lxcwrap.model.image import Descriptor, ImageConfig, Manifest
from lxcwrap.model.paths import Paths
from lxcwrap.store import blobs, buildcache, containers, images, layers, settings, staging
from lxcwrap.store.database import WAL_SIZE, Store

A, B = (f"sha256:{letter * 64}" for letter in "ab")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Paths(str(tmp_path / "root")))


def add_layer(store: Store, diff_id: str, parent: str | None) -> str:
    chain = digests.chain_ids((diff_id,) if parent is None else (parent, diff_id))[-1]
    with staging.directory(store.paths, "test") as place:
        os.makedirs(f"{place}/layer/diff")
        layers.add(store, layers.Layer(chain, diff_id, parent, 7), f"{place}/layer")
    return chain


def add_image(store: Store, diff_ids: tuple[str, ...]) -> str:
    config = ImageConfig(diff_ids=diff_ids)
    image_id = blobs.write(store.paths, config.to_bytes())
    manifest = Manifest("m", Descriptor("c", image_id, 1), ()).to_bytes()
    images.add(store, image_id, blobs.write(store.paths, manifest), config)
    return image_id


def container(name: str, **columns: object) -> containers.Container:
    values = {"id": digests.of(name.encode())[7:], "name": name, "image_id": None, "chain_id": None, "id_base": None,
              "config": ContainerConfig(image="x"), "driver": "overlay", "created": time.time()}  # fmt: skip
    return containers.Container(**{**values, **columns})  # type: ignore[arg-type]


def test_a_newer_state_is_refused_in_one_line(store: Store) -> None:
    store.db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(Unsupported, match="newer lxcwrap"):
        Store(store.paths)


def test_a_failed_transaction_changes_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as db:
        db.execute("INSERT INTO settings VALUES ('a', 'b')")
        raise RuntimeError
    assert settings.get(store, "a") is None


def test_the_log_that_every_command_reads_stays_short(store: Store) -> None:
    page = store.db.execute("PRAGMA page_size").fetchone()[0]
    store.close()
    for number in range(100):  # commands that change something and end as they do, without closing
        child = os.fork()
        if not child:
            with Store(store.paths).transaction() as db:
                values = [(f"{number}-{each}", "x" * page) for each in range(5)]
                db.executemany("INSERT INTO settings VALUES (?, ?)", values)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert os.path.getsize(store.paths.database + "-wal") < 2 * WAL_SIZE


def test_names_are_unique_and_the_holder_is_named(store: Store) -> None:
    containers.add(store, container("web"))
    with pytest.raises(Conflict, match="'web' is in use by container"):
        containers.add(store, container("web", id="f" * 64))
    containers.add(store, container("db"))
    with pytest.raises(Conflict):
        containers.rename(store, container("db").id, "web")


def test_containers_are_found_by_name_id_and_prefix(store: Store) -> None:
    one, two = container("one", id="ab" + "0" * 62), container("two", id="ac" + "0" * 62)
    containers.add(store, one)
    containers.add(store, two)
    assert containers.resolve(store, "one").id == one.id
    assert containers.resolve(store, "ac").id == two.id
    assert containers.resolve(store, one.id).name == "one"
    with pytest.raises(Conflict, match="ambiguous"):
        containers.resolve(store, "a")
    with pytest.raises(NotFound, match="no such container: zz"):
        containers.resolve(store, "zz")


def test_id_ranges_do_not_overlap_and_are_used_again(store: Store) -> None:
    bases = []
    for name in "abc":
        with store.transaction():
            base = containers.free_id_base(store, 1000, 3)
            containers.add(store, container(name, id_base=base))
        bases.append(base)
    assert bases == [1000, 1000 + 65536, 1000 + 2 * 65536]
    assert containers.free_id_base(store, 1000, 3) is None
    containers.remove(store, container("b").id)
    assert containers.free_id_base(store, 1000, 3) == 1000 + 65536


def test_layers_stay_while_needed_and_go_afterwards(store: Store) -> None:
    lower = add_layer(store, A, None)
    upper = add_layer(store, B, lower)
    image_id = add_image(store, (A, B))
    assert [layer.chain_id for layer in layers.stack(store, upper)] == [lower, upper]
    assert images.get(store, image_id).size == 14
    assert layers.collect(store) == 0
    images.remove(store, image_id)
    with layers.keeping(store):
        assert layers.collect(store) == 0
    assert layers.collect(store) == 14
    assert os.listdir(f"{store.paths.root}/layers") == []
    assert os.listdir(f"{store.paths.root}/blobs/sha256") == []


def test_layers_are_synced_once_and_before_their_image_is_known(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def synced(descriptor: int) -> None:
        order.append((os.fstat(descriptor).st_dev, len(os.listdir(f"{store.paths.root}/layers")), bool(images_known())))
        syncfs(descriptor)

    def images_known() -> list[sqlite3.Row]:
        return Store(store.paths).db.execute("SELECT * FROM images").fetchall()

    order: list[tuple[int, int, bool]] = []
    syncfs = process.syncfs
    monkeypatch.setattr(process, "syncfs", synced)
    lower = add_layer(store, A, None)
    add_layer(store, B, lower)
    assert order == []
    for _ in range(2):
        add_image(store, (A, B))
        assert order == [(os.stat(store.paths.root).st_dev, 2, False)] and images_known()
    assert store.db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_after_a_power_cut_layers_that_were_not_synced_are_made_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower = add_layer(store, A, None)
    add_image(store, (A,))
    upper = add_layer(store, B, lower)
    buildcache.add(store, [buildcache.CachedStep("step", upper), buildcache.CachedStep("before", lower)])
    monkeypatch.setattr(layers, "_boot", lambda: "another")
    add_layer(store, B, None)
    with layers.keeping(store):
        assert layers.find(store, upper) is None and layers.find(store, lower) and layers.find(store, B)
        assert buildcache.find(store, "step") is None and buildcache.find(store, "before")
        assert not os.path.exists(store.paths.layer(upper))
        assert add_layer(store, B, lower) == upper and os.path.isdir(store.paths.layer(upper))


def test_a_layer_directory_without_a_row_is_garbage(store: Store) -> None:
    chain = add_layer(store, A, None)
    add_image(store, (A,))
    os.makedirs(store.paths.layer(B) + "/diff")
    layers.collect(store)
    assert os.listdir(f"{store.paths.root}/layers") == [chain[7:]]


def test_an_image_in_use_is_not_removed(store: Store) -> None:
    image_id = add_image(store, ())
    containers.add(store, container("web", image_id=image_id))
    with pytest.raises(Conflict, match="used by container web"):
        images.remove(store, image_id)
    assert images.get(store, image_id).id == image_id


def test_the_database_refuses_to_lose_a_layer_in_use(store: Store) -> None:
    chain = add_layer(store, A, None)
    containers.add(store, container("web", chain_id=chain))
    with pytest.raises(sqlite3.IntegrityError):
        store.db.execute("DELETE FROM layers")


def test_tags_move_and_images_are_found_by_tag_digest_and_id(store: Store) -> None:
    one, two = add_image(store, ()), None
    add_layer(store, A, None)
    two = add_image(store, (A,))
    assert images.tag(store, "docker.io/library/x:1", one) is None
    assert images.tag(store, "docker.io/library/x:1", two) == one
    images.add_digest(store, "docker.io/library/x", B, two)
    found = [images.find_tag(store, "docker.io/library/x:1"), images.find_digest(store, "docker.io/library/x", B),
             images.find_id(store, two[7:19])]  # fmt: skip
    assert [image and image.id for image in found] == [two] * 3
    assert {image.id for image in images.listing(store)} == {one, two}


def test_a_changed_blob_is_noticed(store: Store) -> None:
    name = blobs.write(store.paths, b"hello")
    Path(store.paths.blob(name)).write_bytes(b"jello")
    with pytest.raises(Exception, match="does not match its digest"):
        blobs.read(store.paths, name)


def test_a_tree_that_a_container_made_deep_is_discarded(store: Store) -> None:
    place = store.paths.container("c")
    os.makedirs(place)
    holder = os.open(place, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=holder)
        inner = os.open("d", os.O_RDONLY, dir_fd=holder)
        os.close(holder)
        holder = inner
    os.close(holder)
    try:
        staging.discard(store.paths, place)
        assert not os.path.lexists(place) and os.listdir(store.paths.staging) == []
    finally:
        subprocess.run(["rm", "-rf", store.paths.root], check=True)  # pytest could not


def test_staging_of_the_dead_is_swept_and_of_the_living_kept(store: Store) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with staging.directory(store.paths, "pull") as place:
            Path(place, "half").write_text("x")
            os.write(writing, place.encode())
            signal.pause()
    place = os.read(reading, 4096).decode()
    staging.sweep(store.paths)
    assert os.listdir(place) == ["half"]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    staging.sweep(store.paths)
    assert os.listdir(store.paths.staging) == []


def test_locks_die_with_their_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with lock.held(path):
        assert lock.is_held(path)
        with pytest.raises(lock.Busy):
            lock.take(path, wait=False)
    assert not lock.is_held(path)


def test_concurrent_first_use_makes_one_schema(tmp_path: Path) -> None:
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            try:
                Store(Paths(str(tmp_path / "root")))
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6


def test_prune_counts_what_went_and_not_what_came_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_layer(store, A, None)
    monkeypatch.setattr(containers, "discard_unknown", lambda store: add_layer(store, B, None))
    assert prune_images.prune(store, {}).freed == 7
