"""What ``ps`` and ``inspect`` say, from rows and state files alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.actions import inspect_container, listing
from lxcwrap.cli import filters
from lxcwrap.cli.gotemplate import render
from lxcwrap.errors import LxcwrapError, NotFound, UsageError
from lxcwrap.kernel import lock
from lxcwrap.model import phrases
from lxcwrap.model.container import ContainerConfig, Mount, MountKind, NetworkConfig, Port
from lxcwrap.model.godata import to_plain
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.paths import Paths
from lxcwrap.store import containers, volumes
from lxcwrap.store.database import Store
from lxcwrap.store.overview import Overview

NOW = 1_800_000_000.0
IDS = [digit * 64 for digit in "abc"]


def add(store: Store, number: int, name: str, config: ContainerConfig, **state: Any) -> None:
    container_id = IDS[number]
    containers.add(store, containers.Container(container_id, name, None, None, config, "overlay", None, NOW + number))
    os.makedirs(store.paths.container(container_id))
    if state:
        Path(store.paths.container(container_id), "state.json").write_text(json.dumps(state))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(Paths, "run", property(lambda self: f"{tmp_path}/run"))
    opened = Store(Paths(str(tmp_path / "root")))
    volumes.create(opened, "db")
    web = ContainerConfig(
        image="web:1",
        entrypoint=("nginx", "-g", 'daemon "off";'),
        labels=(("stage", "test"),),
        exposed=("80/tcp", "443/tcp"),
        mounts=(Mount(MountKind.VOLUME, "/db", "db"), Mount(MountKind.TMPFS, "/tmp", options=("size=1m",))),
        network=NetworkConfig(ports=(Port(80, host_port=8080),)),
    )
    add(opened, 0, "web", web, status="running", pid=4711, started_at=time.time() - 181, health="healthy")
    volumes.attach(opened, IDS[0], ("db",))
    with opened.transaction() as db:
        db.execute("INSERT INTO published_ports VALUES ('0.0.0.0', 8080, 'tcp', ?, 80)", (IDS[0],))
    add(opened, 1, "job", ContainerConfig(image="job", command=("true",)), status="exited", exit_code=3,
        finished_at=time.time() - 7200)  # fmt: skip
    add(opened, 2, "new", ContainerConfig(image="job", command=("sleep", "60"), network=NetworkConfig(mode="none")))
    with lock.held(f"{opened.paths.container_run(IDS[0])}/lock"):
        yield opened
    opened.close()


def names(store: Store, *items: str, everything: bool = True, last: int = 0) -> list[str]:
    wanted = filters.parse(items, listing.FILTERS)
    chosen = listing.select(store, everything=everything, last=last, filters=wanted)
    return [entry.container.name for entry in chosen]


def test_only_what_runs_unless_asked(store: Store) -> None:
    assert names(store, everything=False) == ["web"]
    assert names(store) == ["new", "job", "web"]
    assert names(store, everything=False, last=2) == ["new", "job"]
    assert names(store, "status=exited", everything=False) == ["job"]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (("id=aaaa",), ["web"]),
        (("name=^/?we",), ["web"]),
        (("name=web", "name=job"), ["job", "web"]),
        (("name=web", "status=exited"), []),
        (("label=stage",), ["web"]),
        (("label=stage=prod",), []),
        (("exited=3",), ["job"]),
        (("exited=0",), []),
        (("health=healthy",), ["web"]),
        (("health=none",), ["new", "job"]),
        (("before=job",), ["web"]),
        (("since=job",), ["new"]),
        (("since=aaaaaa", "before=new"), ["job"]),
        (("volume=db",), ["web"]),
        (("volume=/db",), ["web"]),
        (("network=none",), ["new"]),
        (("network=bridge",), ["job", "web"]),
        (("publish=80",), ["web"]),
        (("publish=70-90/tcp",), ["web"]),
        (("publish=443",), []),
        (("expose=443/tcp",), ["web"]),
        (("expose=443/udp",), []),
        (("ancestor=nothing",), []),
        (("is-task=true",), []),
        (("is-task=false",), ["new", "job", "web"]),
    ],
    ids=str,
)
def test_filters(store: Store, items: tuple[str, ...], expected: list[str]) -> None:
    assert names(store, *items) == expected


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ("status=asleep", LxcwrapError),
        ("health=fine", LxcwrapError),
        ("exited=x", LxcwrapError),
        ("name=[", LxcwrapError),
        ("publish=http", UsageError),
        ("since=nobody", NotFound),
        ("colour=red", LxcwrapError),
    ],
)
def test_filters_that_make_no_sense(store: Store, item: str, error: type[LxcwrapError]) -> None:
    with pytest.raises(error) as caught:
        names(store, item)
    assert caught.value.exit_code == 1


def test_rows_are_in_dockers_words(store: Store) -> None:
    new, job, web = listing.rows(store, listing.select(store, everything=True))
    assert web["ID"] == "a" * 12
    assert web["Command"] == '"nginx -g \'daemon \\"o…"'
    assert web["Status"] == "Up 3 minutes (healthy)"
    assert web["Ports"] == "0.0.0.0:8080->80/tcp, 443/tcp"
    assert (web["Labels"], web["Label"]("stage"), web["Label"]("no")) == ("stage=test", "test", "")
    assert (web["Mounts"], web["LocalVolumes"], web["Networks"]) == ("db", "1", "bridge")
    assert (job["Status"], job["State"], job["Ports"]) == ("Exited (3) 2 hours ago", "exited", "")
    assert (new["Status"], new["State"], new["Networks"]) == ("Created", "created", "none")
    (whole,) = listing.rows(store, listing.select(store), truncate=False)
    assert whole["ID"] == IDS[0]
    assert whole["Command"] == '"nginx -g \'daemon \\"off\\";\'"'


def test_a_container_whose_supervisor_is_gone_has_ended(store: Store) -> None:
    Path(store.paths.container(IDS[2]), "state.json").write_text(json.dumps({"status": "running", "started_at": NOW}))
    row = listing.rows(store, listing.select(store, everything=True))[0]
    assert row["Status"].startswith("Exited (137)")


def test_the_document_of_a_container(store: Store) -> None:
    document = inspect_container.document(store, "web")
    plain = json.loads(json.dumps(to_plain(document)))
    assert (plain["Id"], plain["Name"], plain["Path"]) == (IDS[0], "/web", "nginx")
    assert plain["Args"] == ["-g", 'daemon "off";']
    assert plain["State"]["Status"] == "running"
    assert (plain["State"]["Pid"], plain["State"]["Health"]["Status"]) == (4711, "healthy")
    assert plain["Created"] == "2027-01-15T08:00:00.000000000Z"
    assert plain["Mounts"] == [
        {"Type": "volume", "Name": "db", "Source": store.paths.volume("db"), "Destination": "/db", "Driver": "local",
         "Mode": "", "RW": True, "Propagation": ""}
    ]  # fmt: skip
    assert plain["HostConfig"]["Tmpfs"] == {"/tmp": "size=1m"}
    assert plain["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    assert plain["HostConfig"]["CapAdd"] is None
    assert plain["NetworkSettings"]["Ports"] == {
        "443/tcp": None,
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
    }
    assert plain["Config"]["ExposedPorts"] == {"443/tcp": {}, "80/tcp": {}}
    assert "Healthcheck" not in plain["Config"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.State.ExitCode}} {{.State.Running}}", "3 false"),
        ("{{.Config.Image}} {{.Name}}", "job /job"),
        ("{{.NetworkSettings.IPAddress}}|{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "|"),
        ("{{with .State.Health}}{{.Status}}{{else}}none{{end}}", "none"),
        ("{{len .HostConfig.Binds}}{{range .Mounts}}x{{end}}", "0"),
        ('{{index .Config.Labels "nope"}}.', "."),
        ("{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.LogConfig.Type}}", "no local"),
        ("{{.State.StartedAt}}", "0001-01-01T00:00:00Z"),
    ],
)
def test_templates_that_scripts_use(store: Store, template: str, expected: str) -> None:
    assert render(template, inspect_container.document(store, "job")) == expected


def test_health_check_in_the_document(store: Store) -> None:
    containers.remove(store, IDS[1])
    config = ContainerConfig(image="x", health=HealthCheck(test=("CMD", "true"), interval=10**9))
    containers.add(store, containers.Container(IDS[1], "hc", None, None, config, "overlay", None, NOW))
    document = inspect_container.document(store, "hc")
    assert document["Config"]["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 10**9}


@pytest.mark.parametrize(
    ("published", "exposed", "expected"),
    [
        ([("", 8080, 80, "tcp")], [], "0.0.0.0:8080->80/tcp"),
        ([("::", 8080, 80, "tcp"), ("0.0.0.0", 8080, 80, "tcp")], [], "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        ([("0.0.0.0", 8000 + n, 9000 + n, "tcp") for n in range(3)], [], "0.0.0.0:8000-8002->9000-9002/tcp"),
        ([("0.0.0.0", 8000, 80, "tcp"), ("0.0.0.0", 9000, 81, "tcp")], [],
         "0.0.0.0:8000->80/tcp, 0.0.0.0:9000->81/tcp"),
        ([], ["53/udp", "80", "81/tcp", "82/tcp"], "53/udp, 80-82/tcp"),
        ([("127.0.0.1", 53, 53, "udp")], ["53/udp", "53/tcp"], "53/tcp, 127.0.0.1:53->53/udp"),
        ([], [], ""),
    ],
)  # fmt: skip
def test_ports(published: Any, exposed: list[str], expected: str) -> None:
    assert phrases.ports(published, exposed) == expected


@pytest.mark.parametrize(
    ("status", "facts", "expected"),
    [
        ("created", {}, "Created"),
        ("running", {"started": 95}, "Up 5 seconds"),
        ("paused", {"started": 95, "health": "healthy"}, "Up 5 seconds (Paused)"),
        ("running", {"started": 40, "health": "starting"}, "Up About a minute (health: starting)"),
        ("exited", {"finished": 97, "exit_code": 137}, "Exited (137) 3 seconds ago"),
        ("restarting", {"finished": 99, "exit_code": 1}, "Restarting (1) 1 second ago"),
        ("dead", {}, "Dead"),
    ],
)
def test_status(status: str, facts: dict[str, Any], expected: str) -> None:
    assert phrases.status(status, 100, **facts) == expected


def test_times() -> None:
    assert phrases.rfc3339(0) == "0001-01-01T00:00:00Z"
    assert phrases.rfc3339(1.25) == "1970-01-01T00:00:01.250000000Z"
    assert phrases.rfc3339(1.9999999999).endswith("Z")


@pytest.mark.parametrize(
    ("typed", "names", "truncate", "expected"),
    [
        ("busybox", {"docker.io/library/busybox:latest"}, True, "busybox"),
        ("me/app:1", {"docker.io/me/app:1"}, True, "me/app:1"),
        ("localhost:5000/app", {"localhost:5000/app:latest"}, True, "localhost:5000/app"),
        ("busybox", {"docker.io/library/other:latest"}, True, "f" * 12),
        ("busybox", set(), False, "sha256:" + "f" * 64),
        ("f" * 20, set(), True, "f" * 12),
        ("app@sha256:" + "0" * 64, set(), True, "app@sha256:" + "0" * 64),
    ],
)
def test_an_image_whose_name_moved_on_is_shown_by_id(
    typed: str, names: set[str], truncate: bool, expected: str
) -> None:
    container = Overview("a" * 64, "web", "sha256:" + "f" * 64, None, NOW, "vfs", None, {"image": typed}, (), ())
    assert listing.image_text(container, names, truncate) == expected
