"""Image documents: what is read is written back, and nonsense is refused."""

from __future__ import annotations

import json

import pytest

from lxcwrap.errors import Corrupt
from lxcwrap.model import digest as digests
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.image import Descriptor, History, ImageConfig, Manifest, Platform, RunConfig, decode

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def test_config_survives_a_round_trip() -> None:
    config = ImageConfig(
        platform=Platform("linux", "arm64", "v8"),
        created="2024-05-01T10:00:00Z",
        author="me",
        config=RunConfig(
            entrypoint=("/bin/x",),
            command=("-v",),
            env=("A=1",),
            labels=(("k", "v"),),
            exposed=("80/tcp",),
            volumes=("/data",),
            user="daemon",
            health=HealthCheck(("CMD", "true"), interval=10**9, retries=2),
        ),
        diff_ids=(A, B),
        history=(History(created_by="RUN x"), History(created_by="ENV A=1", empty_layer=True)),
    )
    assert ImageConfig.from_json(json.loads(config.to_bytes())) == config


def test_config_bytes_use_the_names_of_the_specification() -> None:
    plain = json.loads(ImageConfig(config=RunConfig(command=("sh",), exposed=("80/tcp",))).to_bytes())
    assert plain["config"] == {"Cmd": ["sh"], "ExposedPorts": {"80/tcp": {}}}
    assert plain["rootfs"] == {"type": "layers", "diff_ids": []}


def test_null_members_of_docker_configs_are_empty() -> None:
    config = RunConfig.from_json({"Cmd": None, "Env": None, "Labels": None, "ExposedPorts": None, "Entrypoint": "sh"})
    assert config == RunConfig(entrypoint=("sh",))


@pytest.mark.parametrize(
    "plain",
    [None, [], {}, {"schemaVersion": 1, "layers": []}, {"schemaVersion": 2, "layers": []},
     {"schemaVersion": 2, "layers": [], "config": {"digest": "sha256:../../etc", "size": 1}},
     {"schemaVersion": 2, "layers": [{"digest": A, "size": -1}], "config": {"digest": A, "size": 1}}],
)  # fmt: skip
def test_a_document_that_is_no_manifest_is_refused(plain: object) -> None:
    with pytest.raises(Corrupt):
        Manifest.from_json(plain)


def test_manifest_keeps_order_and_types() -> None:
    manifest = Manifest("t", Descriptor("c", A, 1), (Descriptor("l", B, 2), Descriptor("l", C, 3)))
    assert Manifest.from_json(json.loads(manifest.to_bytes())) == manifest


def test_chain_ids_are_those_of_the_specification() -> None:
    assert digests.chain_ids((A, B, C)) == (
        A,
        digests.of(f"{A} {B}".encode()),
        digests.of(f"{digests.of(f'{A} {B}'.encode())} {C}".encode()),
    )


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 50_000, b'"\\ud800"', b"[1e400]", b"NaN"])
def test_json_from_strangers(content: bytes) -> None:
    with pytest.raises(ValueError):
        decode(content)


def test_sets_of_the_wrong_kinds_become_texts() -> None:
    config = RunConfig.from_json({"ExposedPorts": [[], 80], "Healthcheck": {"Test": [1]}})
    assert config.exposed == ("80", "[]") and config.health == HealthCheck(test=("1",))


def test_history_of_the_wrong_kinds_is_no_trouble() -> None:
    line = {"created": None, "created_by": 5, "comment": "x", "empty_layer": "yes", "author": [], "more": 1}
    config = ImageConfig.from_json({"rootfs": {"diff_ids": []}, "history": [line]})
    assert config.history == (History(comment="x"),)
    with pytest.raises(Corrupt):
        ImageConfig.from_json({"rootfs": {"diff_ids": []}, "history": ["x"]})


@pytest.mark.parametrize("text", ["", "sha256:abc", "md5:" + "a" * 64, A + "0", A.upper(), "sha256:" + "g" * 64])
def test_only_sha256_digests_pass(text: str) -> None:
    with pytest.raises(Corrupt):
        digests.check(text)


@pytest.mark.parametrize(
    ("image", "wanted", "fits"),
    [("linux/arm64/v8", "linux/arm64", True), ("linux/arm64", "linux/arm64/v8", True),
     ("linux/arm/v7", "linux/arm/v6", False), ("linux/amd64", "linux/arm64", False)],
)  # fmt: skip
def test_platforms_match(image: str, wanted: str, fits: bool) -> None:
    assert Platform.parse(image).matches(Platform.parse(wanted)) is fits
