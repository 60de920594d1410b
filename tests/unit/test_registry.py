"""The registry client's pure parts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lxcwrap.archive.growing import Follower, Growing
from lxcwrap.errors import Corrupt, RegistryError
from lxcwrap.registry import credentials, search, trust
from lxcwrap.registry.auth import challenges
from lxcwrap.registry.credentials import Credentials
from lxcwrap.registry.failure import redacted, refusal
from lxcwrap.registry.trust import Registries


def test_challenges() -> None:
    header = 'Bearer realm="https://a/t?x=1",service="a, \\"b\\"", scope="repository:x:pull,push", Basic realm=here'
    bearer, basic = challenges(header)
    assert (bearer.scheme, basic.scheme) == ("bearer", "basic")
    assert bearer.parameters == {
        "realm": "https://a/t?x=1", "service": 'a, "b"', "scope": "repository:x:pull,push",
    }  # fmt: skip
    assert basic.parameters == {"realm": "here"}
    assert challenges("") == ()
    assert challenges("=,=\x00") == ()


@pytest.mark.parametrize(
    ("url", "origin", "allowed"),
    [
        ("https://cdn.example/x", "registry.example", True),
        ("http://cdn.example/x", "registry.example", False),
        ("http://127.0.0.1:80/x", "registry.example", False),
        ("https://localhost/x", "registry.example", False),
        ("http://127.0.0.1:80/x", "localhost:5000", True),
        ("http://listed:5000/x", "listed:5000", True),
        ("http://listed:5000/x", "registry.example", False),
        ("http://10.1.2.3/x", "listed:5000", True),
        ("https://u:p@cdn.example/x", "registry.example", False),
        ("file:///etc/passwd", "localhost:5000", False),
        ("//nowhere", "localhost:5000", False),
        ("http://[bad", "localhost:5000", False),
        ("http://localhost:99999/x", "localhost:5000", False),
    ],
)
def test_where_a_registry_may_send_us(url: str, origin: str, allowed: bool) -> None:
    assert Registries(insecure=("listed:5000", "10.0.0.0/8")).allows(url, origin) is allowed


@pytest.mark.parametrize("authority", ["localhost", "localhost:5000", "127.9.9.9:1", "[::1]:5000"])
def test_loopback(authority: str) -> None:
    assert trust.is_loopback(authority)


@pytest.mark.parametrize("authority", ["localhost.evil.example", "128.0.0.1", "127.0.0.1.nip.io", "evil@localhost.x"])
def test_not_loopback(authority: str) -> None:
    assert not trust.is_loopback(authority)


@pytest.mark.parametrize("authority", ["a/b", "a@b", "a:99999", "a?b", "", "a:b"])
def test_no_registry(authority: str) -> None:
    with pytest.raises(RegistryError):
        trust.check_authority(authority)


def test_settings_are_checked() -> None:
    parsed = trust.parse({"insecure": ["a:1"], "mirrors": {"docker.io": ["https://m"]}})
    assert parsed.mirrors_of("docker.io") == ("https://m",)
    assert trust.parse(None) == Registries()
    for wrong in ([], {"insecure": "a"}, {"insecure": [1]}, {"mirrors": []}, {"other": 1}):
        with pytest.raises(ValueError):
            trust.parse(wrong)


def test_credentials_are_kept_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    credentials.put("docker.io", Credentials("me", "pass:word"))
    found = credentials.find("docker.io")
    assert found == Credentials("me", "pass:word")
    assert "pass" not in repr(found)
    assert credentials.find("other.example") is None
    assert credentials.forget("docker.io") and not credentials.forget("docker.io")
    Path(credentials.own_file()).write_text("{")
    with pytest.raises(Corrupt):
        credentials.find("docker.io")


def test_refusals_say_what_the_registry_says() -> None:
    error = refusal("r", "reading x", 403, b'{"errors":[{"code":"DENIED","message":"no\\nway"}]}')
    assert error.message == "registry r, reading x: 403 DENIED: no way"
    assert refusal("r", "reading x", 502, b"<html>").message == "registry r, reading x: 502 Bad Gateway"
    assert redacted("https://u:p@h:1/path?token=x#y") == "https://h:1/path"


def test_search_terms_and_answers() -> None:
    assert search.split("localhost:5000/a/b") == ("localhost:5000", "a/b")
    assert search.split("team/app") == ("docker.io", "team/app")
    hits = search.parse_hub(b'{"results":[{"name":"x","star_count":3,"is_official":true,"description":null}]}')
    assert (hits[0].name, hits[0].stars, hits[0].official) == ("x", 3, True)
    with pytest.raises(RegistryError):
        search.parse_hub(b"<html>")


def test_growing_is_read_while_it_is_written(tmp_path: Path) -> None:
    content = Growing(str(tmp_path / "x"))
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(Follower(content).read()))
    reader.start()
    for piece in (b"a" * 100_000, b"b", b"c" * 2_000_000):
        content.write(piece)
    content.finish()
    reader.join(timeout=10)
    assert got == [b"a" * 100_000 + b"b" + b"c" * 2_000_000]
    content.close()
    again = Growing(str(tmp_path / "x"))
    assert again.adopt_existing() == 2_100_001
    assert again.digest == content.digest
    again.fail(Corrupt("wrong"))
    with pytest.raises(Corrupt):
        b"".join(again.chunks())
    again.close()
