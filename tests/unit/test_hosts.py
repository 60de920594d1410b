"""Hosts: what hosts.yaml may say, which hosts a word names, and known_hosts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from lxcwrap.errors import LxcwrapError
from lxcwrap.model import hosts
from lxcwrap.model.hosts import Host, Inventory
from lxcwrap.remote import known
from lxcwrap.remote.hosts import from_ansible

PLAIN = {
    "hosts": {
        "web1": {"address": "10.0.0.1", "user": "root", "labels": {"zone": "a", "ssd": True}},
        "web2": {"address": "deploy@web2.example.com:2222", "identity": "~/key", "sudo": False},
        "db": None,
    },
    "groups": {"web": ["web1", "web2"]},
}


def test_a_file() -> None:
    found = hosts.parse(PLAIN, "hosts.yaml")
    assert found.hosts == (
        Host("web1", "10.0.0.1", "root", labels=(("zone", "a"), ("ssd", "true"))),
        Host("web2", "web2.example.com", "deploy", 2222, "~/key", False),
        Host("db", "db"),
    )
    assert hosts.parse(hosts.dump(found), "again") == found
    assert hosts.parse(None, "empty") == Inventory()


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        ([], "f is not a mapping"),
        ({"host": {}}, "f: unknown key 'host' (known: hosts, groups)"),
        ({"hosts": []}, "f: hosts is not a mapping"),
        ({"hosts": {"a": "b"}}, "f: host a is not a mapping"),
        ({"hosts": {"a": {"adress": "b"}}}, "f: host a: unknown key 'adress'"),
        ({"hosts": {"a": {"port": "22"}}}, "port '22' is not a number"),
        ({"hosts": {"a": {"port": 70000}}}, "port 70000 is not between"),
        ({"hosts": {"a": {"sudo": "yes"}}}, "sudo is neither true nor false"),
        ({"hosts": {"a": {"user": "a b"}}}, "'a b' is not a user's name"),
        ({"hosts": {"a": {"address": "-oProxyCommand=x"}}}, "is not a host"),
        ({"hosts": {"all": {}}}, "names every host"),
        ({"hosts": {"a/b": {}}}, "host name 'a/b' is not allowed"),
        ({"hosts": {"a": {}}, "groups": {"g": ["b"]}}, "group g: there is no host 'b'"),
        ({"hosts": {"a": {}}, "groups": {"a": []}}, "a is a host and a group"),
    ],
)
def test_what_a_file_may_not_say(plain: Any, text: str) -> None:
    with pytest.raises(LxcwrapError) as caught:
        hosts.parse(plain, "f")
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("web1", ["web1"]),
        ("web", ["web1", "web2"]),
        ("all", ["web1", "web2", "db"]),
        ("zone=a", ["web1"]),
        ("db,web,db", ["db", "web1", "web2"]),
        ("root@other:2200", ["root@other:2200"]),
    ],
)
def test_which_hosts_a_word_names(word: str, names: list[str]) -> None:
    assert [host.name for host in hosts.select(hosts.parse(PLAIN, "f"), word)] == names


@pytest.mark.parametrize("word", ["web3", "zone=b", ",", "wbe"])
def test_words_that_name_none(word: str) -> None:
    with pytest.raises(LxcwrapError, match="no host"):
        hosts.select(hosts.parse(PLAIN, "f"), word)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("web", ("", "web", 0)),
        ("root@10.0.0.1", ("root", "10.0.0.1", 0)),
        ("a@b:22", ("a", "b", 22)),
        ("fd00::1", ("", "fd00::1", 0)),
        ("root@[fd00::1]:2222", ("root", "fd00::1", 2222)),
    ],
)
def test_targets(text: str, parts: tuple[str, str, int]) -> None:
    found = hosts.parse_target(text)
    assert (found.user, found.address, found.port) == parts


@pytest.mark.parametrize("text", ["", "@a", "a b@c", "a@", "a:0", "a:99999", "-x", "a;b", "a@b@c d"])
def test_no_targets(text: str) -> None:
    with pytest.raises(LxcwrapError):
        hosts.parse_target(text)


def test_an_ansible_inventory() -> None:
    plain = {
        "_meta": {"hostvars": {"w": {"ansible_host": "10.0.0.1", "ansible_user": "u", "ansible_port": 2222}}},
        "all": {"children": ["ungrouped", "web"]},
        "web": {"children": ["inner"]},
        "inner": {"hosts": ["w", "x"]},
    }
    found = from_ansible(plain, "inventory")
    assert found.find("w") == Host("w", "10.0.0.1", "u", 2222) and found.find("x") == Host("x", "x")
    assert dict(found.groups) == {"web": ("w", "x"), "inner": ("w", "x")}


BLOB = b"\0\0\0\x0bssh-ed25519" + b"x" * 32
KEY = base64.b64encode(BLOB).decode()


def names_known(*lines: str, name: str) -> bool:
    return bool(known.of(known.parse(lines), name))


def test_known_hosts() -> None:
    salt = b"s" * 20
    digest = hmac.new(salt, b"web", hashlib.sha1).digest()
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    assert names_known(f"web,10.0.0.1 ssh-ed25519 {KEY} a comment", name="10.0.0.1")
    assert names_known(f"{hashed} ssh-ed25519 {KEY}", name="web")
    assert not names_known(f"{hashed} ssh-ed25519 {KEY}", name="other")
    assert names_known(f"[web]:2222 ssh-ed25519 {KEY}", name=known.name_of("WEB", 2222))
    assert not names_known(f"[web]:2222 ssh-ed25519 {KEY}", name="web")
    assert names_known(f"*.example.com,!bad.example.com ssh-ed25519 {KEY}", name="a.example.com")
    assert not names_known(f"*.example.com,!bad.example.com ssh-ed25519 {KEY}", name="bad.example.com")
    assert not names_known(f"@cert-authority * ssh-ed25519 {KEY}", "# comment", "web ssh-ed25519 !!", "web", name="web")
    revoked = known.parse([f"@revoked * ssh-ed25519 {KEY}", f"web ssh-ed25519 {KEY}"])
    assert known.is_revoked(revoked, BLOB) and not known.is_revoked(revoked, BLOB + b"x")
