"""What releases record, which of them is gone back to, and the words that make containers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lxcwrap.deploy import release, words, written
from lxcwrap.deploy.application import (
    Application,
    Condition,
    Content,
    ContentUse,
    Dependency,
    Hook,
    OnFailure,
    Order,
    PublishedPort,
    Service,
    Source,
    Update,
)
from lxcwrap.deploy.host import HostFailed
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.release import DONE, FAILED, ROLLED_BACK, STARTED, Records, Release
from lxcwrap.errors import Corrupt, NotFound

WEB = Service(
    "web",
    "me/web:1",
    flags=("--env=A=b", "--restart=always", "--health-cmd=true", "--memory=64m"),
    command=("serve", "--all"),
    networks=(("shop_default", ("--network=shop_default",)),),
    aliases=(("shop_default", "web"),),
    ports=(PublishedPort(80, 8080), PublishedPort(53, 53, "udp", "::1"), PublishedPort(9000)),
    secrets=(ContentUse("key", "/run/secrets/key", 7, 8, 0o440),),
    configs=(ContentUse("motd", "/etc/motd"),),
    depends_on=(Dependency("db", Condition.HEALTHY, restart=True),),
    update=Update(2, 1.5, OnFailure.ROLLBACK, order=Order.STOP_FIRST),
    reserved_memory=1 << 20,
)
SHOP = Application(
    "shop",
    (WEB, Service("db", "postgres")),
    secrets=(Content("key", "key", Source.INLINE, "sesame"), Content("other", "other", Source.FILE, "/k")),
    configs=(Content("motd", "motd", Source.INLINE, "Hello\n"),),
    hooks=(Hook("before-deploy", ("migrate",), "web"),),
)


def test_an_application_is_read_as_it_was_written_but_for_secrets() -> None:
    text = json.dumps(written.to_json(SHOP))
    assert "sesame" not in text and "Hello" in text
    back = written.from_json(json.loads(text), "web1")
    assert back == replace(SHOP, secrets=(replace(SHOP.secrets[0], value=""), SHOP.secrets[1]))


@pytest.mark.parametrize("plain", [{"name": "x", "new": 1}, {"services": []}, {"name": "x", "services": [3]}, [], None])
def test_what_is_no_application_is_refused_with_its_place(plain: object) -> None:
    with pytest.raises(Corrupt, match="web1, release 3"):
        written.from_json(plain, "web1, release 3")


def test_a_release_is_read_as_it_was_written() -> None:
    one = Release(3, "me@here", "deploy", Application("shop"), DONE, 1.5, 2.5, {"web": "sha256:ab"}, ("a", "b"), ("k",),
                  (("web", 1, "a"),))  # fmt: skip
    assert Release.from_json(json.loads(json.dumps(one.to_json())), "a") == one
    assert Release.from_json({**one.to_json(), "later": True}, "a") == one, "a newer program's record is read"


def _records(*statuses: str) -> list[Records]:
    return [
        Records(Release(number, "me", "deploy", Application("shop"), status), ("a",))
        for number, status in enumerate(statuses, 1)
    ]


@pytest.mark.parametrize(
    ("statuses", "back"),
    [
        ((DONE, DONE), 1),
        ((DONE, DONE, FAILED), 2),
        ((DONE, DONE, STARTED), 2),
        ((DONE, FAILED, DONE), 1),
        ((DONE, DONE, ROLLED_BACK), 1),
        ((DONE, FAILED, FAILED), 1),
    ],
)
def test_rollback_goes_to(statuses: tuple[str, ...], back: int) -> None:
    assert release.before(_records(*statuses), "shop").number == back


def test_there_may_be_nothing_to_go_back_to() -> None:
    for statuses in ((), (DONE,), (FAILED,)):
        with pytest.raises(NotFound, match="shop has no earlier release"):
            release.before(_records(*statuses), "shop")
    with pytest.raises(NotFound, match="no release 7"):
        release.wanted(_records(DONE), "shop", 7)


STATE = HostState("a", secrets=(("key", "v1"), ("motd", "v2")), secret_place="/run/s", config_place="/var/c")


def test_the_words_that_make_a_container() -> None:
    labels = words.labels("shop", WEB, 2, 5, "spec")
    line = words.create(WEB, "shop-web-2-r5", WEB.image, labels, words.binds(SHOP, WEB, STATE))
    assert line == (
        "create", "--pull", "never", "--name", "shop-web-2-r5", "--label", "lxcwrap.app=shop", "--label",
        "lxcwrap.service=web", "--label", "lxcwrap.slot=2", "--label", "lxcwrap.release=5", "--label",
        "lxcwrap.spec=spec", "--label", "lxcwrap.memory=1048576", "--env=A=b", "--restart=always", "--health-cmd=true",
        "--memory=64m", "--network=shop_default", "-p", "9000/tcp", "--mount",
        "type=bind,source=/run/s/shop/key/v1/7-8-0440,target=/run/secrets/key,readonly", "--mount",
        "type=bind,source=/var/c/shop/motd/v2/0-0-0444,target=/etc/motd,readonly", "me/web:1", "serve", "--all",
    )  # fmt: skip


def test_a_hooks_container_neither_lasts_nor_serves() -> None:
    line = words.once("shop", WEB, "shop-hook-1", ("migrate",), {})
    assert "--restart=always" not in line and "--health-cmd=true" not in line and "-p" not in line
    assert line[-2:] == ("me/web:1", "migrate") and "lxcwrap.hook=shop" in line and "lxcwrap.app=shop" not in line


def test_the_words_of_a_take_over() -> None:
    assert words.take_over(WEB, "new", "", "shop-web-1") == (
        "app-end", "take-over", "new", "-", "--name", "shop-web-1", "--publish", "8080:80/tcp", "--publish",
        "[::1]:53:53/udp", "--alias", "shop_default=web",
    )  # fmt: skip


def test_a_secret_that_a_host_lacks_is_named() -> None:
    with pytest.raises(HostFailed, match="a has no key, which web uses"):
        words.binds(SHOP, WEB, replace(STATE, secrets=()))


def test_a_hosts_record_gives_this_machine_no_orders() -> None:
    secrets = tuple(
        Content(source.value, source.value, source, "/etc/shadow", ("id",))
        for source in Source
        if source != Source.INLINE
    )
    hooks = (Hook("before-deploy", ("id",)), Hook("before-deploy", ("migrate",), "web"))
    plain = Release(1, "me", "deploy", Application("shop", (WEB,), secrets=secrets, hooks=hooks)).to_json()
    read = Release.from_json(json.loads(json.dumps(plain)), "web1").application
    assert {(one.source, one.value, one.command) for one in read.secrets} == {(Source.EXTERNAL, "", ())}
    assert read.hooks == hooks[1:]
