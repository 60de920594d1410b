"""A registry that fails, lies or attacks: one clear line, exit code 1, nothing half-made, and the next pull works."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faulty_registry import Fault, Faulty, Handler, cuts, running, status
from tests.image_files import digest, image, layer, packed, partials, snapshot

Cli = Any
BIG = os.urandom(3_000_000)


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with running() as state:
        yield state


@pytest.fixture
def good() -> Any:
    return image([layer({"a": b"one", "big": BIG}), layer({"b": b"two"})])


def refused(cli: Cli, name: str, *words: str) -> str:
    """The one line with which a pull fails, after which the state is as it was before."""
    cli("images")
    before = snapshot(cli.root)
    done = cli("pull", *words, name, check=False)
    assert done.code == 1
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("lxcwrap: ")
    assert snapshot(cli.root) == before
    assert not os.listdir(f"{cli.root}/tmp")
    return lines[0]


INDEX = b"application/vnd.oci.image.index.v1+json"


def manifest_of_size(size: int) -> bytes:
    blob = {"digest": digest(b""), "size": size}
    return json.dumps({"schemaVersion": 2, "config": blob, "layers": [blob]}).encode()


def pulls(cli: Cli, name: str) -> None:
    cli("pull", name)
    assert cli("images", "-q", name).lines


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status("/manifests/", 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'), "no such image"),
        (status("/manifests/", 401, b""), "401"),
        (status("/manifests/", 403, b'{"errors":[{"code":"DENIED","message":"not yours"}]}'), "DENIED: not yours"),
        (status("/manifests/", 500, b"<html>oops</html>"), "500 Internal Server Error"),
        (status("/manifests/", 200, b"\x00\xff garbage"), "not a manifest"),
        (status("/manifests/", 200, b'{"schemaVersion": 1}'), "schema version 1"),
        (status("/manifests/", 200, b'{"schemaVersion": 2, "layers": [{}], "config": {}}'), "not a descriptor"),
        (status("/manifests/", 200, b'["a list"]'), "not a manifest"),
        (status("/manifests/", 200, b'{"schemaVersion": 2, "mediaType": "application/x-cake", "layers": 1}'), "x-cake"),
        (status("/manifests/", 200, b'{"schemaVersion": 2, "mediaType": "' + INDEX + b'", "manifests": 5}'), "list of"),
        (status("/manifests/", 200, b'{"a":' * 50_000), "not a manifest"),
        (status("/manifests/", 200, b'{"a": "\\ud800"}'), "not a manifest"),
        (status("/manifests/", 200, manifest_of_size(10**30)), "not a descriptor"),
        (status("/blobs/", 500, b""), "500"),
        (status("/blobs/", 404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"gone"}]}'), "BLOB_UNKNOWN"),
    ],
)  # fmt: skip
def test_refusal_and_garbage(cli: Cli, faulty: Faulty, good: Any, fault: Fault, said: str) -> None:
    faulty.add("x", "t", good)
    faulty.faults.append(fault)
    assert said in refused(cli, f"{faulty.host}/x:t")
    faulty.faults.clear()
    pulls(cli, f"{faulty.host}/x:t")
    cli("rmi", f"{faulty.host}/x:t")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'{"tags": 5}', "the answer is no list"),
        (b"[" * 50_000, "the answer is no list"),
        (b'{"tags": ["t", "../t"]}', "'../t' is no tag"),
    ],
)
def test_tags_that_are_none(cli: Cli, faulty: Faulty, good: Any, answer: bytes, said: str) -> None:
    faulty.add("x", "t", good)
    faulty.faults.append(status("/tags/list", 200, answer))
    assert said in refused(cli, f"{faulty.host}/x", "-a")


def test_list_without_an_end(cli: Cli, faulty: Faulty) -> None:
    def again(handler: Handler) -> bool:
        handler.answer(
            200, json.dumps({"tags": ["t" * 100] * 50_000}).encode(), {"Link": '</v2/x/tags/list>; rel="next"'}
        )
        return True

    faulty.faults.append(again)
    assert "the list does not end" in refused(cli, f"{faulty.host}/x", "-a")


def test_index_that_lies_about_a_size(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.add("x", "t", good)
    entry = {"digest": good.manifest, "size": 5, "mediaType": good.media_type}
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX.decode(), "manifests": [entry]}).encode()
    faulty.manifests["x", "t"] = (INDEX.decode(), content)
    assert "its index says 5" in refused(cli, f"{faulty.host}/x:t")


@pytest.mark.parametrize("target", ["http://[bad", "http://localhost:99999/x"])
def test_redirects_that_cannot_be_read(cli: Cli, faulty: Faulty, good: Any, target: str) -> None:
    def away(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        handler.answer(307, b"", {"Location": target})
        return True

    faulty.add("x", "t", good)
    faulty.faults.append(away)
    assert "which is not trusted" in refused(cli, f"{faulty.host}/x:t")


def test_nobody_listens(cli: Cli) -> None:
    assert "cannot be reached" in refused(cli, "127.0.0.1:1/x:t")


def test_temporary_errors_are_tried_again(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.add("x", "t", good)
    faulty.faults.append(status("/manifests/", 503, times=2))
    faulty.faults.append(status("/blobs/", 429, times=1, headers={"Retry-After": "1"}))
    started = time.monotonic()
    pulls(cli, f"{faulty.host}/x:t")
    assert time.monotonic() - started > 1
    cli("rmi", f"{faulty.host}/x:t")


def test_cut_connection_goes_on_in_the_same_pull(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.add("x", "t", good)
    content = good.blobs[good.layers[0]]
    faulty.faults.append(cuts(good.layers[0], content, 1_000_000, times=2))
    pulls(cli, f"{faulty.host}/x:t")
    assert [seen.range for seen in faulty.seen if good.layers[0] in seen.path][-1] == "bytes=1000000-"
    cli("rmi", f"{faulty.host}/x:t")


def test_cut_pull_goes_on_in_the_next_one(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.add("x", "t", good)
    content = good.blobs[good.layers[0]]
    faulty.faults.append(cuts(good.layers[0], content, 2_000_000))
    assert "cut" in refused(cli, f"{faulty.host}/x:t")
    assert good.layers[0][7:] in partials(cli.root)
    faulty.faults.clear()
    faulty.seen.clear()
    pulls(cli, f"{faulty.host}/x:t")
    assert [seen.range for seen in faulty.seen if good.layers[0] in seen.path] == ["bytes=2000000-"]
    assert not partials(cli.root)
    cli("rmi", f"{faulty.host}/x:t")


def test_cut_pull_goes_on_without_ranges_too(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.ranges = False
    faulty.add("x", "t", good)
    faulty.faults.append(cuts(good.layers[0], good.blobs[good.layers[0]], 2_000_000, times=1))
    pulls(cli, f"{faulty.host}/x:t")
    cli("rmi", f"{faulty.host}/x:t")


def test_spoilt_partial_download_is_fetched_anew(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.add("x", "t", good)
    cli("images")
    os.makedirs(f"{cli.root}/blobs/partial", exist_ok=True)
    Path(f"{cli.root}/blobs/partial/{good.layers[0][7:]}").write_bytes(b"\x1f\x8b" + b"spoilt" * 1000)
    pulls(cli, f"{faulty.host}/x:t")
    assert not partials(cli.root)
    cli("rmi", f"{faulty.host}/x:t")


def lie(old: str, content: bytes) -> Fault:
    """Serve other bytes under a blob's digest."""

    def fault(handler: Handler) -> bool:
        if old not in handler.path:
            return False
        handler.answer(200, content)
        return True

    return fault


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "does not match its digest"),
        (lambda content: packed(layer({"evil": b"x"})), "its manifest says"),
        (lambda content: content + b"more", "is larger than"),
        (lambda content: content[:-4], "bytes, its manifest says"),
        (lambda content: b"", "is 0 bytes"),
    ],
)
def test_wrong_digest_or_size(cli: Cli, faulty: Faulty, good: Any, change: Any, said: str) -> None:
    faulty.add("x", "t", good)
    faulty.faults.append(lie(good.layers[0], change(good.blobs[good.layers[0]])))
    assert said in refused(cli, f"{faulty.host}/x:t")
    assert not partials(cli.root)
    faulty.faults.clear()
    pulls(cli, f"{faulty.host}/x:t")
    cli("rmi", f"{faulty.host}/x:t")


def test_config_and_manifest_are_checked(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.add("x", "t", good)
    faulty.faults.append(lie(good.config, b"x" * len(good.blobs[good.config])))
    assert "does not match its digest" in refused(cli, f"{faulty.host}/x:t")
    faulty.faults.clear()
    other = image([layer({"c": b"three"})])
    faulty.manifests["x", good.manifest] = (other.media_type, other.blobs[other.manifest])
    assert good.manifest in refused(cli, f"{faulty.host}/x@{good.manifest}")


def test_layer_that_unpacks_to_something_else(cli: Cli, faulty: Faulty) -> None:
    false = image([layer({"a": b"one"})], diff_ids=[digest(b"something else")])
    faulty.add("x", "t", false)
    assert "its image says" in refused(cli, f"{faulty.host}/x:t")
    short = image([layer({"a": b"one"})], diff_ids=[digest(b"1"), digest(b"2")])
    faulty.add("x", "t", short)
    assert "1 layers" in refused(cli, f"{faulty.host}/x:t")


def hostile(**attributes: Any) -> bytes:
    """A layer with one entry like this."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("x")
        for name, value in attributes.items():
            setattr(entry, name, value)
        tar.addfile(entry, io.BytesIO(b"x" * entry.size))
    return out.getvalue()


@pytest.mark.parametrize(
    "tar",
    [
        hostile(name="../outside", size=1),
        hostile(name="a/../../outside", size=1),
        hostile(name="link", type=tarfile.LNKTYPE, linkname="../../../../etc/passwd"),
        hostile(name="disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0),
        hostile(name="a/.wh...", size=0),
    ],
)
def test_hostile_layers(cli: Cli, faulty: Faulty, tar: bytes) -> None:
    faulty.add("x", "t", image([tar]))
    refused(cli, f"{faulty.host}/x:t")
    assert not os.path.exists(f"{cli.root}/outside")


def test_not_gzip_at_all(cli: Cli, faulty: Faulty) -> None:
    faulty.add("x", "t", image([b"this is no tar" * 100], compress="plain"))
    refused(cli, f"{faulty.host}/x:t")


def test_interrupted_by_the_keyboard(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.add("x", "t", good)
    cli("images")  # makes the state root

    def stalls(handler: Handler) -> bool:
        if good.layers[0] not in handler.path:
            return False
        content = good.blobs[good.layers[0]]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:1_500_000])
        handler.wfile.flush()
        time.sleep(5)
        handler.close_connection = True
        return True

    faulty.faults.append(stalls)
    before = snapshot(cli.root)
    with cli.popen("pull", f"{faulty.host}/x:t", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running_pull:
        deadline = time.monotonic() + 10
        while not partials(cli.root) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        started = time.monotonic()
        running_pull.send_signal(signal.SIGINT)
        assert running_pull.wait(timeout=10) == 130
        assert time.monotonic() - started < 3
    assert snapshot(cli.root) == before
    faulty.faults.clear()
    faulty.seen.clear()
    pulls(cli, f"{faulty.host}/x:t")
    assert any(seen.range for seen in faulty.seen)
    cli("rmi", f"{faulty.host}/x:t")


def test_killed_pull_leaves_nothing_that_matters(cli: Cli, faulty: Faulty, good: Any) -> None:
    faulty.add("x", "t", good)
    cli("images")  # makes the state root

    def stalls(handler: Handler) -> bool:
        if good.layers[1] not in handler.path:
            return False
        time.sleep(3)
        return False

    faulty.faults.append(stalls)
    before = snapshot(cli.root)
    with cli.popen("pull", f"{faulty.host}/x:t", stdout=subprocess.DEVNULL) as running_pull:
        time.sleep(1.5)
        running_pull.kill()
        running_pull.wait()
    faulty.faults.clear()
    cli("image", "prune", "-f")
    assert snapshot(cli.root) == before
    assert not partials(cli.root)
    pulls(cli, f"{faulty.host}/x:t")
    cli("rmi", f"{faulty.host}/x:t")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[str]:
    """A state root of 6 MB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=711", "tmpfs", str(place)], check=True)
    try:
        yield str(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk(cli: Cli, faulty: Faulty, small_disk: str) -> None:
    small = type(cli)(small_disk)
    small("images")
    failures = 0
    for size in (6_000_000, 3_150_000, 3_060_000, 3_030_000, 3_000_000, 2_970_000):
        faulty.add("x", "t", image([layer({"a": b"one", "big": os.urandom(size)}), layer({"b": b"two"})]))
        before = snapshot(small_disk)
        done = small("pull", f"{faulty.host}/x:t", check=False)
        if done.code == 0:  # it just fitted
            small("rmi", f"{faulty.host}/x:t")
        else:
            failures += 1
            assert done.err == f"lxcwrap: the disk that holds {small_disk} is full\n" or "image prune" in done.err
            assert len(done.err.splitlines()) == 1
        assert snapshot(small_disk) == before
        assert not partials(small_disk)
        assert not os.listdir(f"{small_disk}/tmp")
    assert failures >= 2
    faulty.add("x", "t", image([layer({"a": b"one"})]))
    pulls(small, f"{faulty.host}/x:t")
