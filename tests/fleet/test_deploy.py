"""An application on several hosts: deployed, updated under load, rolled back, drained, taken down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fleet.conftest import Fleet
from tests.fleet.shop import HEALTHY, Shop

Make = Callable[..., Shop]


@pytest.fixture
def shop(six: Fleet, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Make]:
    """Applications of one test, taken down at its end."""
    made: list[Shop] = []

    def make(name: str, port: int, hosts: tuple[str, ...] = ("one", "two", "three")) -> Shop:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Shop(six, folder, name, port, list(hosts)))
        return made[-1]

    yield make
    for one in made:
        one.wipe()


def test_two_services_on_three_hosts(shop: Make, six: Fleet) -> None:
    app = shop("pair", 8101)
    stock = {
        "image": "busybox:latest", "command": ["httpd", "-f", "-p", "9000"], "stop_grace_period": "0s",
        "deploy": {"replicas": 2, "update_config": {"monitor": "500ms"}},
    }  # fmt: skip
    app.write(services={"stock": stock}, web={"depends_on": ["stock"]})
    before = six("plan", app.file, "--detailed-exitcode", check=False)
    assert before.code == 2 and "web 1" in before.out and "stock 2" in before.out
    done = app.deploy()
    assert "release 1 done: 5 changed" in done.out, done
    assert [app.page(host) for host in app.hosts] == ["1"] * 3
    rows = app.ps("{{.Host}} {{.Service}} {{.State}}")
    assert sorted(row for row in rows if "web" in row) == [f"{host} web running" for host in ("one", "three", "two")]
    assert len(rows) == 5
    ids = app.ps()
    assert app.deploy().out == "pair: nothing to do\n"
    assert app.ps() == ids
    assert six("plan", app.file, "--detailed-exitcode").code == 0
    assert six("app", "exec", "-p", "pair", "--index", "2", "web", "cat", "/www/index.html").out == "1\n"
    releases = json.loads(six("releases", "-p", "pair", "--format", "json").out)
    assert releases["Status"] == "done" and set(releases["Hosts"].split(",")) == set(app.hosts)
    six("down", "-p", "pair", timeout=120)
    assert app.ps() == []
    for host in app.hosts:
        assert "pair" not in six("-H", host, "network", "ls").out
        assert six.inside(host, "lxcwrap", "app-end", "secret-ls", "pair").out.count("pair") == 0


def test_no_request_fails_while_versions_change(shop: Make) -> None:
    app = shop("steady", 8102)
    app.deploy()
    with app.asked("one", "two", "three") as asking:
        for version, parallelism in (("2", 1), ("3", 0), ("4", 2)):
            app.write(version, web={"deploy": {"update_config": {"parallelism": parallelism}}})
            app.deploy()
    assert asking.failures == []
    assert {"1", "2", "3", "4"} <= set(asking.answers)
    assert [app.page(host) for host in app.hosts] == ["4"] * 3
    assert len(app.ps()) == 3


def test_a_version_that_is_not_well(shop: Make, six: Fleet) -> None:
    app = shop("sick", 8103)
    app.write(web={"configs": ["motd"]}, configs={"motd": {"content": "of 1"}})
    app.deploy()
    sick = {"healthcheck": {"test": "echo no such thing; false"}, "command": ["sh", "-c", "echo last words; sleep 600"]}
    app.write("2", web={**sick, "deploy": {"update_config": {"parallelism": 1}}})
    with app.asked("one", "two", "three") as asking:
        failed = app.deploy(check=False)
    assert failed.code == 1 and "release 2 failed: 0 changed, 1 failed" in failed.out
    assert "last words" in failed.err and "kept for a look" in failed.err
    assert asking.failures == [] and set(asking.answers) == {"1"}
    kept = [row for row in app.ps() if "-r2" in row]
    assert len(kept) == 1 and "exited" in kept[0]

    worse = {**sick, "configs": ["motd"], "deploy": {"update_config": {"failure_action": "rollback"}}}
    app.write("3", web=worse, configs={"motd": {"content": "of 3"}})
    back = app.deploy(check=False)
    assert back.code == 1 and "rolled-back" in back.out and "back to release 1" in back.out, back
    assert [app.page(host) for host in app.hosts] == ["1"] * 3
    assert six("app", "exec", "-p", "sick", "web", "cat", "/motd").out == "of 1"
    drifted = six("drift", "-p", "sick", check=False)
    assert drifted.code == 2 and "web 1" not in drifted.out, "what was kept for a look is extra, nothing else"

    app.write("4")
    app.deploy()
    assert [app.page(host) for host in app.hosts] == ["4"] * 3
    assert len(app.ps()) == 3, "what was kept of failed ones is gone"
    assert "release 5 done" in six("rollback", "-p", "sick").out
    assert [app.page(host) for host in app.hosts] == ["1"] * 3
    six("rollback", "4", "-p", "sick")
    assert [app.page(host) for host in app.hosts] == ["4"] * 3
    whats = six("audit", "-p", "sick", "--format", "{{.Release}} {{.What}} {{.Status}}").lines
    assert [line.split()[-1] for line in whats] == ["done", "failed", "rolled-back", "done", "done", "done"]
    assert "5 rollback to 1 done" in whats


def test_drift_and_drain(shop: Make, six: Fleet) -> None:
    app = shop("moving", 8104, ("one", "two", "three", "four"))
    app.write(web={"deploy": {"replicas": 3}})
    app.deploy()
    assert six("drift", "-p", "moving").code == 0
    hosts = sorted(app.ps("{{.Host}}"))
    six("-H", hosts[0], "stop", app.ps(f'{{{{if eq .Host "{hosts[0]}"}}}}{{{{.Name}}}}{{{{end}}}}')[0] or "none")
    drifted = six("drift", "-p", "moving", check=False)
    assert drifted.code == 2 and "stopped" in drifted.out and hosts[0] in drifted.out
    app.deploy()
    assert six("drift", "-p", "moving").code == 0

    spare = next(host for host in app.hosts if host not in hosts)
    drained = six("host", "drain", hosts[1], timeout=120)
    assert f"{hosts[1]}: drained" in drained.out
    assert sorted(app.ps("{{.Host}}")) == sorted({*hosts, spare} - {hosts[1]})
    assert app.page(spare) == "1"
    assert app.deploy().out == "moving: nothing to do\n"
    six("host", "drain", hosts[1], "--off")
    assert app.deploy().out == "moving: nothing to do\n", "nothing moves back without need"


def test_secrets_are_in_the_container_and_nowhere_else(shop: Make, six: Fleet) -> None:
    word, changed = "correct-horse-battery", "staple-of-another-kind"
    app = shop("vault", 8105, ("one",))
    (app.folder / "key").write_text(word)
    app.write(
        web={"secrets": ["key", {"source": "outer", "target": "/etc/outer", "mode": "0400"}]},
        secrets={"key": {"file": "./key"}, "outer": {"external": True}},
    )
    lacking = app.deploy(check=False)
    assert lacking.code == 1 and "secret outer is external" in lacking.err and "secret set" in lacking.err
    six("-H", "one", "secret", "set", "-p", "vault", "outer", input=word.encode())
    said = app.deploy()
    read = six("app", "exec", "-p", "vault", "web", "sh", "-c", "cat /run/secrets/key /etc/outer; ls -l /etc/outer")
    assert read.out.startswith(word + word) and "-r--------" in read.out
    assert word not in said.out + said.err
    for words in (("inspect", app.ps("{{.ID}}")[0]), ("logs", app.ps("{{.ID}}")[0]), ("events", "--since", "10m",
                  "--until", "0s"), ("image", "inspect", "vault-web:1")):  # fmt: skip
        assert word not in six("-H", "one", *words, check=False).out
    assert (
        word
        not in six("plan", app.file, "--format", "json").out + six("releases", "-p", "vault", "--format", "json").out
    )
    found = six.inside(
        "one", "sh", "-c", f"grep -rl {word} /var/lib/lxcwrap /var/log /tmp /etc 2>/dev/null", check=False
    )
    assert found.out == ""
    seen = six.inside("one", "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' '", check=False)
    assert word not in seen.out
    assert six.inside("two", "sh", "-c", "ls -A /run/lxcwrap/secrets/vault", check=False).out == ""

    six("secret", "rotate", "-p", "vault", "key", input=changed.encode(), timeout=120)
    assert six("app", "exec", "-p", "vault", "web", "cat", "/run/secrets/key").out == changed
    listed = six("secret", "ls", "-p", "vault").out
    assert "outer" in listed and word not in listed and changed not in listed


def test_hooks(shop: Make, six: Fleet) -> None:
    app = shop("hooked", 8106, ("one",))
    log = app.folder / "log"
    hooks = {
        "before-deploy": [
            {"command": ["sh", "-c", f"echo before >>{log}"]},
            {"command": ["sh", "-c", "echo migrating $$(cat /www/index.html)"], "service": "web"},
        ],
        "after-deploy": [{"command": ["sh", "-c", f"echo after >>{log}"]}],
    }
    app.write(**{"x-lxcwrap": {"hooks": hooks}})
    said = app.deploy()
    assert "migrating 1" in said.err
    assert log.read_text() == "before\nafter\n"
    app.deploy()
    assert log.read_text() == "before\nafter\n", "nothing to do: no hooks"
    hooks["before-deploy"][1]["command"] = ["sh", "-c", "echo no good; exit 3"]
    app.write("2", **{"x-lxcwrap": {"hooks": hooks}})
    failed = app.deploy(check=False)
    assert failed.code == 1 and "exit code 3" in failed.err and app.page("one") == "1"
    hooks["before-deploy"][1]["command"] = ["true"]
    app.write("2", **{"x-lxcwrap": {"hooks": hooks}})
    app.deploy()
    assert app.page("one") == "2"
    assert "-hook-" not in six("-H", "one", "ps", "-a", "--format", "{{.Names}}").out


def test_jobs_and_conditions(shop: Make, six: Fleet) -> None:
    app = shop("jobs", 8107, ("one",))
    job = {
        "image": "busybox:latest",
        "command": ["sh", "-c", "sleep 1; echo made >/data/made"],
        "volumes": ["data:/data"],
    }
    app.write(
        web={"depends_on": {"job": {"condition": "service_completed_successfully"}}, "volumes": ["data:/data:ro"],
             "healthcheck": {"test": f"{HEALTHY} && test -e /data/made"}},
        services={"job": job}, volumes={"data": {}},
    )  # fmt: skip
    app.deploy()
    assert six("app", "exec", "-p", "jobs", "web", "cat", "/data/made").out == "made\n"
    assert app.deploy().out == "jobs: nothing to do\n", "a job that completed is not run again"
