"""Logging in: what is sent to whom, what is stored where."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faulty_registry import Faulty, Handler, running, status
from tests.image_files import image, layer

Cli = Any


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with a home directory of its own."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "DOCKER_CONFIG": "", "LXCWRAP_CONFIG_DIR": str(tmp_path)}


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with running() as state:
        state.add("x", "t", image([layer({"a": b"one"})]))
        yield state


def test_login_push_pull_logout(
    cli: Cli, busybox: str, locked_registry: tuple[str, str, str], home: dict[str, str]
) -> None:
    host, user, password = locked_registry
    name = f"{host}/private:1"
    cli("tag", busybox, name)
    refused = cli("push", name, env=home, check=False)
    assert refused.code == 1 and f"lxcwrap login {host}" in refused.err and len(refused.err.splitlines()) == 1
    wrong = cli("login", "-u", user, "--password-stdin", host, input=b"wrong\n", env=home, check=False)
    assert (wrong.code, len(wrong.err.splitlines())) == (1, 1)
    assert not Path(home["HOME"], ".config/lxcwrap/auth.json").exists()
    done = cli("login", "-u", user, "--password-stdin", host, input=password.encode() + b"\n", env=home)
    assert done.lines == ["Login Succeeded"]
    stored = Path(home["HOME"], ".config/lxcwrap/auth.json")
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert list(json.loads(stored.read_text())["auths"]) == [host]
    cli("push", name, env=home)
    cli("rmi", name)
    cli("pull", name, env=home)
    assert cli("search", "--format", "{{.Name}}", f"{host}/priv", env=home).lines == [f"{host}/private"]
    assert cli("logout", host, env=home).lines == [f"Removing login credentials for {host}"]
    assert cli("pull", name, env=home, check=False).code == 1
    assert cli("logout", host, env=home).lines == [f"Not logged in to {host}"]


def test_password_on_the_command_line_is_warned_about(
    cli: Cli, locked_registry: tuple[str, str, str], home: dict[str, str]
) -> None:
    host, user, password = locked_registry
    assert "insecure" in cli("login", "-u", user, "-p", password, host, env=home).err


def test_login_asks_on_a_terminal_without_showing_the_password(
    cli: Cli, locked_registry: tuple[str, str, str], home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, user, password = locked_registry
    for name, value in home.items():
        monkeypatch.setitem(cli.environment, name, value)
    child = cli.terminal("login", host)
    child.expect("Username: ")
    child.sendline(user)
    child.expect("Password: ")
    child.sendline(password)
    child.expect("Login Succeeded")
    assert password.encode() not in child.before
    child.wait()
    assert child.exitstatus == 0
    assert cli("login", host, env=home, check=False).code == 1  # no terminal, no password


def test_what_docker_login_stored_is_used(
    cli: Cli, busybox: str, locked_registry: tuple[str, str, str], home: dict[str, str]
) -> None:
    host, user, password = locked_registry
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    Path(home["HOME"], ".docker").mkdir()
    Path(home["HOME"], ".docker/config.json").write_text(json.dumps({"auths": {f"https://{host}/v1/": {"auth": auth}}}))
    cli("tag", busybox, f"{host}/dockers:1")
    cli("push", f"{host}/dockers:1", env=home)
    assert not Path(home["HOME"], ".config/lxcwrap/auth.json").exists()


def test_bearer_token_for_anybody_and_for_a_user(cli: Cli, faulty: Faulty, home: dict[str, str]) -> None:
    faulty.token = "abc.def"
    cli("pull", f"{faulty.host}/x:t", env=home)
    asked = faulty.paths("/token")
    assert asked and all("scope=repository%3Ax%3Apull" in path for path in asked)
    cli("rmi", f"{faulty.host}/x:t")
    faulty.login = "bob:pass word"
    assert cli("pull", f"{faulty.host}/x:t", env=home, check=False).code == 1
    cli("login", "-u", "bob", "--password-stdin", faulty.host, input=b"pass word", env=home)
    faulty.seen.clear()
    cli("pull", f"{faulty.host}/x:t", env=home)
    basic = [seen for seen in faulty.seen if seen.authorization.startswith("Basic")]
    assert basic and all(seen.path.startswith("/token") for seen in basic)
    cli("rmi", f"{faulty.host}/x:t")


def test_credentials_do_not_follow_a_redirect(cli: Cli, faulty: Faulty, home: dict[str, str]) -> None:
    faulty.token = "abc.def"
    with running("127.0.0.2") as other:
        other.blobs = dict(faulty.blobs)

        def sends_away(handler: Handler) -> bool:
            if "/blobs/" not in handler.path or not handler.headers.get("Authorization"):
                return False
            handler.answer(307, b"", {"Location": f"http://{other.host}{handler.path}?signature=secret"})
            return True

        def takes_any_query(handler: Handler) -> bool:
            handler.path = handler.path.partition("?")[0]
            return False

        faulty.faults.append(sends_away)
        other.faults.append(takes_any_query)
        cli("pull", f"{faulty.host}/x:t", env=home)
        assert len(other.seen) == 2
        assert [seen.authorization for seen in other.seen] == ["", ""]
    cli("rmi", f"{faulty.host}/x:t")


@pytest.mark.parametrize(
    "target", ["http://registry.example/x", "ftp://127.0.0.1/x", "http://user:word@127.0.0.1/x", "file:///etc/passwd"]
)
def test_redirects_to_where_nothing_is_trusted(cli: Cli, faulty: Faulty, home: dict[str, str], target: str) -> None:
    faulty.faults.append(status("/blobs/", 307, headers={"Location": target}))
    done = cli("pull", f"{faulty.host}/x:t", env=home, check=False)
    assert done.code == 1 and "not trusted" in done.err and "word" not in done.err


def test_redirect_loop(cli: Cli, faulty: Faulty, home: dict[str, str]) -> None:
    faulty.faults.append(status("/blobs/", 302, headers={"Location": "/v2/x/blobs/again"}))
    done = cli("pull", f"{faulty.host}/x:t", env=home, check=False)
    assert done.code == 1 and "redirects" in done.err


@pytest.mark.parametrize("realm", ["http://192.0.2.1/token", "ftp://127.0.0.1/", "not a url"])
def test_realm_that_is_not_trusted_gets_nothing(cli: Cli, faulty: Faulty, home: dict[str, str], realm: str) -> None:
    faulty.token, faulty.realm = "abc", realm
    done = cli("pull", f"{faulty.host}/x:t", env=home, check=False)
    assert done.code == 1 and "not trusted" in done.err


def test_token_server_that_answers_nonsense(cli: Cli, faulty: Faulty, home: dict[str, str]) -> None:
    faulty.token = "abc"
    for body in (b"garbage", b"[]", b'{"token": 7}', b'{"token": "a\\nb"}'):
        faulty.faults[:] = [status("/token", 200, body)]
        done = cli("pull", f"{faulty.host}/x:t", env=home, check=False)
        assert (done.code, len(done.err.splitlines())) == (1, 1)
        assert "not a token" in done.err


def test_plain_http_only_where_it_is_listed(cli: Cli, home: dict[str, str]) -> None:
    """The host's own address is no loopback address: plain HTTP must be allowed by name."""
    address = _own_address()
    with running(address) as faulty:
        faulty.add("x", "t", image([layer({"a": b"one"})]))
        done = cli("pull", f"{faulty.host}/x:t", env=home, check=False)
        assert done.code == 1 and not faulty.paths("/v2/")
        Path(home["LXCWRAP_CONFIG_DIR"], "registries.yaml").write_text(f"insecure: ['{address}/32']\n")
        cli("pull", f"{faulty.host}/x:t", env=home)
        cli("rmi", f"{faulty.host}/x:t")
        Path(home["LXCWRAP_CONFIG_DIR"], "registries.yaml").write_text("insecure: yes\n")
        assert "registries.yaml" in cli("pull", f"{faulty.host}/x:t", env=home, check=False).err


def test_mirror_is_asked_first(cli: Cli, faulty: Faulty, home: dict[str, str]) -> None:
    with running("127.0.0.3") as mirror:
        mirror.add("x", "t", image([layer({"a": b"one"})]))
        config = {"mirrors": {faulty.host: [f"http://{mirror.host}"]}}
        Path(home["LXCWRAP_CONFIG_DIR"], "registries.yaml").write_text(json.dumps(config))
        cli("pull", f"{faulty.host}/x:t", env=home)
        assert mirror.paths("/manifests/") and not faulty.paths("/manifests/")
        cli("rmi", f"{faulty.host}/x:t")
        mirror.faults.append(status("/v2/", 500))
        cli("pull", f"{faulty.host}/x:t", env=home)
        assert faulty.paths("/manifests/")
        cli("rmi", f"{faulty.host}/x:t")


def test_registry_without_a_catalogue(cli: Cli, faulty: Faulty, home: dict[str, str]) -> None:
    done = cli("search", f"{faulty.host}/x", env=home, check=False)
    assert done.code == 1 and "offers no search" in done.err and len(done.err.splitlines()) == 1


def _own_address() -> str:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
