"""Digests of containers, what two of them differ in, and what is not shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lxcwrap.deploy import spec
from lxcwrap.deploy.application import ContentUse, Placement, PublishedPort, Service, Update
from lxcwrap.deploy.masking import masked
from lxcwrap.deploy.reasons import Before, differences, image, port_text, reasons
from tests.unit.simulated_fleet import IMAGE, NEWER

BASE = Service(
    "web",
    "example/web:1",
    flags=("--env=A=1", "--init"),
    command=("serve", "--fast"),
    networks=(("front", ("--network=front",)),),
    aliases=(("front", "web"),),
    ports=(PublishedPort(8080, 80),),
    secrets=(ContentUse("key", "/run/secrets/key"),),
    configs=(ContentUse("conf", "/conf"), ContentUse("more", "/more")),
)
VERSIONS = {("secret", "key"): "v1", ("config", "conf"): "v1", ("config", "more"): "v1"}


def _digest(service: Service = BASE, image: str = IMAGE, **versions: str) -> str:
    return spec.digest(service, image, {**VERSIONS, **{tuple(key.split("_")): v for key, v in versions.items()}})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "same",
    [
        replace(BASE, replicas=7),
        replace(BASE, placement=Placement(constraints=("node.labels.a==b",))),
        replace(BASE, update=Update(parallelism=3)),
        replace(BASE, reserved_memory=2**30),
        replace(BASE, image="example/web:2"),
        replace(BASE, configs=BASE.configs[::-1]),
        replace(BASE, drain=1, stop_grace=5),
    ],
)
def test_what_does_not_make_the_container_is_not_in_its_digest(same: Service) -> None:
    assert _digest(same) == _digest()


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (replace(BASE, flags=("--env=A=2", "--init")), "flags"),
        (replace(BASE, command=()), "command"),
        (replace(BASE, networks=()), "networks"),
        (replace(BASE, aliases=()), "networks"),
        (replace(BASE, ports=()), "ports"),
        (replace(BASE, secrets=(replace(BASE.secrets[0], mode=0o400),)), "secrets"),
        (replace(BASE, configs=BASE.configs[:1]), "configs"),
    ],
)
def test_the_part_that_differs_is_known(changed: Service, part: str) -> None:
    assert spec.differing(_digest(), _digest(changed)) == (part,)


def test_versions_and_the_image_are_in_it() -> None:
    assert spec.differing(_digest(), _digest(image=NEWER)) == ("image",)
    assert spec.differing(_digest(), _digest(secret_key="v2")) == ("secrets",)
    assert spec.differing(_digest(), _digest(config_conf="v2")) == ("configs",)
    assert spec.differing("0123", _digest()) == ("everything",)
    assert spec.differing("", "") == ()


@pytest.mark.parametrize(
    ("changed", "known", "unknown"),
    [
        (replace(BASE, flags=("--env=A=2", "--init")), "flags: --env A=1 → A=2", "flags changed"),
        (replace(BASE, flags=("--env=A=1",)), "flags: - --init", "flags changed"),
        (replace(BASE, command=("serve",)), "command: serve --fast → serve", "command changed"),
        (replace(BASE, command=()), "command: serve --fast → the image's", "command changed"),
        (replace(BASE, networks=()), "network front is left", "networks changed"),
        (replace(BASE, aliases=(("front", "www"),)), "alias www in front is new", "networks changed"),
        (replace(BASE, ports=()), "ports: 80:8080 → none", "ports changed"),
        (replace(BASE, configs=BASE.configs[:1]), "config more is gone", "config conf changed"),
        (replace(BASE, secrets=(replace(BASE.secrets[0], target="/k"),)), "secret key: its place, owner", "secret key"),
    ],
)
def test_reasons_with_and_without_a_record(changed: Service, known: str, unknown: str) -> None:
    with_record = list(reasons(_digest(), _digest(changed), Before.of(BASE), changed))
    assert any(text.startswith(known) for text in with_record), with_record
    (without,) = reasons(_digest(), _digest(changed), None, changed)
    assert without.startswith(unknown)


def test_contents_that_changed_are_named() -> None:
    assert list(reasons(_digest(), _digest(secret_key="v2"), Before.of(BASE), BASE)) == ["secret key changed"]
    assert list(reasons(_digest(), _digest(config_more="2"), Before.of(BASE), BASE)) == [
        "configs: one of conf, more changed"
    ]


def test_a_record_that_does_not_explain_it_is_no_reason_for_silence() -> None:
    changed = replace(BASE, flags=("--init",))
    assert list(reasons(_digest(), _digest(changed), Before.of(changed), changed)) == ["flags changed"]
    assert list(reasons(_digest(), _digest(replace(changed, command=())), Before.of(changed), changed)) == [
        "flags changed",
        "command changed",
    ]
    assert list(reasons(_digest(), _digest(replace(BASE, ports=())), Before.of(BASE), BASE)) == ["ports changed"]


def test_a_record_of_another_release_than_the_container_s_is_not_trusted() -> None:
    one, two, three = (replace(BASE, flags=(f"--env=A={number}",)) for number in (1, 2, 3))
    assert list(reasons(_digest(two), _digest(three), Before.of(one), three)) == ["flags changed"]
    assert list(reasons(_digest(two), _digest(three), Before.of(two), three)) == ["flags: --env A=2 → A=3"]


def test_a_container_of_another_make() -> None:
    assert list(reasons("old", _digest(), Before.of(BASE), BASE)) == ["it was made by another version"]


def test_images() -> None:
    assert image(IMAGE, NEWER, "web:1", None) == "image sha256:1a1a1a1a1a1a → sha256:2b2b2b2b2b2b"
    named = Before.of(replace(BASE, image="web:1"))
    assert image(IMAGE, NEWER, "web:2", named) == "image web:1 → web:2 (sha256:1a1a1a1a1a1a → sha256:2b2b2b2b2b2b)"
    assert image(IMAGE, "", "web:2", named) == "image web:1 → web:2 (not on the host yet)"
    assert image(IMAGE, "", "web:2", None) == "image web:2 (not on the host yet)"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (["--env=A=1"], ["--env=A=1", "--env=B=2"], ["+ --env B=2"]),
        (["--env=A=1", "--env=B=2"], ["--env=B=3", "--env=A=1"], ["--env B=2 → B=3"]),
        (["--env=A=1", "--init"], ["--init", "--env=A=1"], ["their order"]),
        (["--memory=1g"], ["--memory=2g"], ["--memory 1g → 2g"]),
        (["--env=DB_PASSWORD=a"], ["--env=DB_PASSWORD=b"], ["--env DB_PASSWORD=*** (not shown) changed"]),
        ([], ["--env=API_KEY=b"], ["+ --env API_KEY=***"]),
        (
            ["--env=URL=pg://me:old@db/x"],
            ["--env=URL=pg://me:new@db/x"],
            ["--env URL=pg://me:***@db/x (not shown) changed"],
        ),
        (["--volume=a:/a"], ["--volume=b:/a"], ["--volume a:/a → b:/a"]),
    ],
)
def test_differences(old: list[str], new: list[str], said: list[str]) -> None:
    assert list(differences(old, new)) == said


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["serve", "--password", "x", "y"], "serve --password *** y"),
        (["--token=x"], "--token=***"),
        (["--no-password", "--fast"], "--no-password --fast"),
        (["--env", "APP_SECRET=x=y"], "--env APP_SECRET=***"),
        (["http://a:b@host/?token=x"], "http://a:***@host/?token=***"),
        (['{"password": "x"}'], '{"password": ***'),
        (["/etc/secrets:/x"], "/etc/secrets:/x"),
        (["COMPASS=north"], "COMPASS=***"),
        (["PATH=/bin"], "PATH=/bin"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(words: list[str], shown: str) -> None:
    assert " ".join(masked(words)) == shown


@pytest.mark.parametrize(
    ("port", "text"),
    [
        (PublishedPort(80, 8080), "8080:80"),
        (PublishedPort(80), "80"),
        (PublishedPort(53, 53, "udp", "127.0.0.1"), "127.0.0.1:53:53/udp"),
    ],
)
def test_ports_in_words(port: PublishedPort, text: str) -> None:
    assert port_text(port) == text
