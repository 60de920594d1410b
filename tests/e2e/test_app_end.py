"""What deployments ask of a host: its state, a lock, health, secrets, records of releases."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.deploy.observation import HostState
from lxcwrap.model.paths import Paths
from tests.conftest import Cli

LABELS = ("--label", "lxcwrap.app=shop", "--label", "lxcwrap.service=web", "--label", "lxcwrap.slot=2",
          "--label", "lxcwrap.release=3", "--label", "lxcwrap.spec=abc")  # fmt: skip


@pytest.fixture(autouse=True)
def tidy(cli: Cli, busybox: str) -> Iterator[None]:
    yield
    if left := cli("ps", "-aq").out.split():
        cli("rm", "-f", *left)


def said(cli: Cli, *words: object, input: bytes | None = None, code: int = 0) -> Any:
    done = cli("app-end", *words, input=input, check=False)
    assert done.code == code, done
    return json.loads(done.out)


def seen(cli: Cli, *words: str) -> HostState:
    return HostState.from_json(said(cli, "observe", "shop", *words))


@contextmanager
def holding(cli: Cli, *words: object) -> Iterator[subprocess.Popen[bytes]]:
    holder = cli.popen("app-end", "lock", "shop", *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin and holder.stdout
    try:
        yield holder
    finally:
        holder.stdin.close()
        holder.stdout.close()
        if holder.poll() is None:
            holder.send_signal(signal.SIGCONT)
        holder.wait(10)


def first_line(holder: subprocess.Popen[bytes]) -> Any:
    assert holder.stdout
    return json.loads(holder.stdout.readline())


def test_what_a_host_has(cli: Cli) -> None:
    image = cli("inspect", "--type", "image", "-f", "{{.Id}}", "busybox").out.strip()
    made = cli("create", "--name", "shop-web-2", *LABELS, "busybox", "sleep", "1000").out.strip()
    cli("create", "--name", "big", "--memory-reservation", "64m", "busybox")
    cli("create", "--name", "other", "--label", "lxcwrap.app=x", "--label", "lxcwrap.cpus=1.5", "--label",
        "lxcwrap.memory=1000", "busybox")  # fmt: skip
    cli("network", "create", "net1")
    cli("volume", "create", "vol1")
    said(cli, "secret-put", "shop", "token", input=b"t")
    said(cli, "release-put", "shop", input=b'{"status": "started", "number": 7}')
    state = seen(cli, "--image", "busybox", "--image", "nowhere/at-all")
    (replica,) = state.replicas
    assert (replica.id, replica.name, replica.service, replica.slot, replica.release) == (
        made,
        "shop-web-2",
        "web",
        2,
        3,
    )
    assert (replica.spec, replica.image, replica.state, replica.serves) == ("abc", image, "created", True)
    assert state.images == (("busybox", image),)
    assert "net1" in state.networks and "vol1" in state.volumes and [key for key, _ in state.secrets] == ["token"]
    assert state.cpus >= 1 and state.memory > 1 << 20 and state.architecture == os.uname().machine
    assert (state.reserved_cpus, state.reserved_memory, state.release, state.drained) == (
        1.5,
        (64 << 20) + 1000,
        7,
        False,
    )
    assert said(cli, "drained", "on") == {"drained": True} and seen(cli).drained
    assert said(cli, "drained", "off") == said(cli, "drained") == {"drained": False}
    cli("rename", "shop-web-2", "shop-web-2-old-123456789012")
    cli("start", made)
    (replica,) = seen(cli).replicas
    assert replica.state == "running" and replica.started > time.time() - 60 and not replica.serves
    cli("network", "rm", "net1")


def test_a_lock(cli: Cli) -> None:
    with holding(cli, "--who", "me@here", "--why", "deploy 7") as holder:
        assert first_line(holder) == {"held": True}
        refused = said(cli, "lock", "shop", "--who", "you", code=75)
        assert refused["holder"]["who"] == "me@here" and refused["holder"]["why"] == "deploy 7"
        status = said(cli, "lock-status", "shop")["holder"]
        assert status["pid"] == holder.pid and abs(status["since"] - time.time()) < 60 and not status["stopped"]
        said(cli, "lock", "another", code=0)
        with holding(cli, "--wait", "20") as waiting:
            time.sleep(0.3)
            assert holder.stdin and said(cli, "lock-status", "shop")["holder"]["who"] == "me@here"
            holder.stdin.close()
            assert first_line(waiting) == {"held": True}
            assert holder.wait(5) == 0
    assert said(cli, "lock-status", "shop") == {"held": False, "holder": None}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_holder_that_is_gone_or_stopped(cli: Cli, number: int) -> None:
    with holding(cli, "--who", "me") as holder:
        assert first_line(holder) == {"held": True}
        holder.send_signal(number)
        if number == signal.SIGKILL:
            holder.wait()
        else:
            os.waitid(os.P_PID, holder.pid, os.WSTOPPED)
            assert said(cli, "lock", "shop", code=75)["holder"]["stopped"]
            assert said(cli, "lock-release", "shop")["released"]["who"] == "me"
            assert holder.wait(5) == -signal.SIGTERM
        said(cli, "lock", "shop")
    assert "nobody holds" in cli("app-end", "lock-release", "shop", check=False).err


def test_a_holder_of_whom_nothing_is_heard(cli: Cli) -> None:
    with holding(cli, "--silence", "1") as holder:
        assert first_line(holder) == {"held": True} and holder.stdin
        for _ in range(4):
            time.sleep(0.4)
            holder.stdin.write(b".")
            holder.stdin.flush()
        assert holder.poll() is None
        assert holder.wait(5) == 0


def test_fit_or_not(cli: Cli) -> None:
    def run(name: str, *words: str) -> None:
        cli("run", "-d", "--name", name, *words)

    check = ("--health-interval", "0.1s", "--health-retries", "2", "--health-cmd")
    run("fit", *check, "test -e /fit || exit 1", "--health-start-period", "20s", "busybox", "sh", "-c",
        "sleep 0.5; touch /fit; sleep 1000")  # fmt: skip
    assert said(cli, "wait-healthy", "fit") == {"healthy": True}
    run(
        "sick",
        *check,
        "echo no good; exit 1",
        "busybox",
        "sh",
        "-c",
        "for i in $(seq 30); do echo $i; done; sleep 1000",
    )
    failure = said(cli, "wait-healthy", "sick", code=1)
    assert failure["reason"] == "its health check failed: no good"
    assert failure["logs"] == [str(number) for number in range(11, 31)]
    run("slow", *check, "exit 1", "--health-start-period", "60s", "busybox", "sleep", "1000")
    assert said(cli, "wait-healthy", "slow", "--timeout", "0.5", code=1)["reason"] == "it was not healthy after 0.5 s"
    run("plain", "busybox", "sleep", "1000")
    assert said(cli, "wait-healthy", "plain", "--monitor", "0.5") == {"healthy": True}
    run("ends", "busybox", "sh", "-c", "sleep 0.3; echo bye >&2; exit 3")
    failure = said(cli, "wait-healthy", "ends", "--monitor", "5", code=1)
    assert failure == {"reason": "it ended with exit code 3", "exit_code": 3, "logs": ["bye"]}
    run("again", "--restart", "always", "busybox", "sh", "-c", "sleep 0.3; exit 4")
    assert "exit code 4 and was started again" in said(cli, "wait-healthy", "again", "--monitor", "5", code=1)["reason"]
    cli("create", "--name", "new", "busybox")
    assert said(cli, "wait-healthy", "new", code=1)["reason"] == "it was not started"


def bound(cli: Cli, key: str, version: str, use: str, *, config: bool = False) -> str:
    state = seen(cli)
    place = state.config_place if config else state.secret_place
    return f"type=bind,source={place}/shop/{key}/{version}/{use},target=/run/secrets/{key},readonly"


def test_secrets_in_containers(cli: Cli) -> None:
    content = b"s3cret\0\xff\n" * 3
    version = said(cli, "secret-put", "shop", "key", input=content)["version"]
    assert said(cli, "secret-put", "shop", "key", input=content) == {"version": version}
    config = said(cli, "secret-put", "shop", "conf", "--config", input=b"plain\n")["version"]
    mounts = ["--mount", bound(cli, "key", version, "1000-1001-0440"),
              "--mount", bound(cli, "conf", config, "0-0-0444", config=True)]  # fmt: skip
    for words in ((), ("--userns", "host")):
        cli("run", "-d", "--name", "c", *words, *mounts, "busybox", "sleep", "1000")
        assert cli("exec", "c", "stat", "-c", "%u %g %a %F", "/run/secrets/key").out == "1000 1001 440 regular file\n"
        assert cli("exec", "c", "stat", "-c", "%u %g %a", "/run/secrets/conf").out == "0 0 444\n"
        assert cli("exec", "-u", "1000", "c", "od", "-c", "/run/secrets/key").out.count("3   c   r   e") == 3
        assert cli("exec", "-u", "5:1001", "c", "cat", "/run/secrets/key").code == 0
        assert cli("exec", "-u", "5", "c", "cat", "/run/secrets/key", check=False).code == 1
        assert cli("exec", "-u", "5", "c", "cat", "/run/secrets/conf").out == "plain\n"
        assert cli("exec", "c", "sh", "-c", "echo x >/run/secrets/key", check=False).code != 0
        assert "s3cret" not in cli("inspect", "c").out
        assert cli("app-end", "secret-rm", "shop", "key", check=False).err.startswith("lxcwrap: key is in use")
        if not words:
            cli("rm", "-f", "c")
    place = Path(Paths(cli.root).run, "secrets")
    assert place.stat().st_mode & 0o777 == 0o700
    assert subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True).stdout == "tmpfs\n"
    assert not [path for path in Path(cli.root).rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    # a reboot takes what is in memory, and only that
    cli("stop", "-t", "0", "c")
    subprocess.run(["umount", place], check=True)
    failed = cli("start", "c", check=False)
    assert failed.code == 1 and failed.err.count("\n") <= 2
    assert f"secret key (version {version}) of application shop is not on this host" in failed.err
    assert seen(cli).secrets == (("conf", config),)
    assert said(cli, "secret-put", "shop", "key", "--version", version, input=content) == {"version": version}
    cli("start", "c")
    assert cli("exec", "-u", "1000", "c", "cat", "/run/secrets/key").code == 0
    cli("rm", "-f", "c")
    assert len(said(cli, "secret-rm", "shop")["removed"]) == 2 and said(cli, "secret-ls", "shop") == []


def test_versions(cli: Cli) -> None:
    def put(content: bytes, *words: str) -> str:
        version: str = said(cli, "secret-put", "shop", "key", *words, input=content)["version"]
        return version

    assert put(b"a", "--check") == ""
    first, second = put(b"a"), put(b"b", "--version", "00000000aaaaaaaa")
    assert re.fullmatch("[0-9a-f]{16}", first) and second == "00000000aaaaaaaa"
    assert put(b"b", "--check") == second and put(b"a", "--check") == ""
    assert put(b"a") == first, "what there was comes back as what it was"
    assert seen(cli).secrets == (("key", first),)
    path = said(cli, "secret-path", "shop", "key", second, "--use", "7-8-0400")["path"]
    known = os.stat(path)
    assert (known.st_uid, known.st_gid, known.st_mode & 0o7777) == (7, 8, 0o400) and Path(path).read_bytes() == b"b"
    listed = [(one["version"], one["current"], one["users"]) for one in said(cli, "secret-ls", "shop")]
    assert sorted(listed) == sorted([(first, True, []), (second, False, [])])
    assert said(cli, "secret-rm", "shop", "--unused") == {"removed": [f"key/{second}"]}
    for words in (("secret-put", "..", "key"), ("secret-put", "shop", "a/b"), ("secret-path", "shop", "key", "../x"),
                  ("secret-put", "shop", "key", "--version", "../../x"),
                  ("secret-path", "shop", "key", first, "--use", "0-0-0444/../x")):  # fmt: skip
        done = cli("app-end", *words, input=b"x", check=False)
        assert done.code and done.err.startswith("lxcwrap: ") and done.err.count("\n") == 1, words
    done = cli("app-end", "secret-put", "shop", "key", input=b"x" * ((1 << 20) + 1), check=False)
    assert "more than 1 MiB" in done.err
    said(cli, "secret-rm", "shop")


def test_releases(cli: Cli) -> None:
    def put(**record: object) -> int:
        number: int = said(cli, "release-put", "app2", input=json.dumps(record).encode())["number"]
        return number

    assert said(cli, "releases", "app2") == []
    assert put(status="started", who="me", application={"name": "app2"}, images={"web": "sha256:1"}) == 1
    assert put(status="done", number=1, who="me") == 1
    assert put(status="started", number=40) == 40
    (newest, oldest) = said(cli, "releases", "app2")
    assert newest["number"] == 40 and newest["time"] > time.time() - 60
    assert (oldest["status"], oldest["number"]) == ("done", 1)
    done = cli("app-end", "release-put", "app2", input=b'{"status": "odd"}', check=False)
    assert "is one of started, done" in done.err
    assert cli("app-end", "release-put", "app2", input=b"{", check=False).err.startswith("lxcwrap: a release is JSON")
