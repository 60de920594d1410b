"""Deployments that something comes between: another operator, a kill, a dead host, a full disk, a bad network."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fleet.conftest import Fleet
from tests.fleet.shop import Shop

Make = Callable[..., Shop]
SLOW = {"healthcheck": {"test": "test -e /tmp/well || { sleep 1; touch /tmp/well; false; }", "interval": "1s"}}
ONE_BY_ONE = {**SLOW, "deploy": {"update_config": {"parallelism": 1}}}


@pytest.fixture
def shop(six: Fleet, tmp_path: Path) -> Iterator[Make]:
    made: list[Shop] = []

    def make(name: str, port: int, hosts: tuple[str, ...] = ("one", "two", "three")) -> Shop:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Shop(six, folder, name, port, list(hosts)))
        return made[-1]

    yield make
    for one in made:
        one.wipe()


def begun(app: Shop, words: str) -> subprocess.Popen[bytes]:
    """A deployment that has said so."""
    child = app.fleet.operator.popen("deploy", app.file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stderr
    for line in child.stderr:
        if words in line.decode():
            return child
    raise AssertionError(f"it never said {words!r}")


def test_two_operators(shop: Make, six: Fleet) -> None:
    app = shop("busy", 8111, ("one", "two"))
    app.write(web={"healthcheck": {"test": "test -e /tmp/well", "retries": 1000}})
    first = begun(app, "waiting until it is healthy")
    second = app.deploy(check=False)
    assert second.code == 75 and "is being changed by" in second.err and "deploy" in second.err
    status = six("lock", "status", "-p", "busy", check=False)
    assert status.code == 1 and {line.split(":")[0] for line in status.lines} == set(app.hosts)
    for host in app.hosts:
        six(
            "-H",
            host,
            "exec",
            six("-H", host, "ps", "-q", "--filter", "label=lxcwrap.app=busy").out.strip(),
            "touch",
            "/tmp/well",
        )
    assert first.communicate(timeout=60) and first.returncode == 0
    assert six("lock", "status", "-p", "busy").out == "busy is not locked\n"


def test_a_lock_that_somebody_releases(shop: Make, six: Fleet) -> None:
    app = shop("freed", 8118, ("one", "two"))
    app.deploy()
    app.write("2", web=ONE_BY_ONE)
    child = begun(app, "waiting until it is healthy")
    assert "was being changed by" in six("lock", "release", "-p", "freed").out
    _, said = child.communicate(timeout=60)
    assert child.returncode == 75 and b"the lock on" in said, said
    assert sorted(app.page(host) for host in app.hosts) == ["1", "2"]
    app.deploy()
    assert [app.page(host) for host in app.hosts] == ["2"] * 2


def test_an_operator_that_is_killed(shop: Make, six: Fleet) -> None:
    app = shop("killed", 8112, ("one", "two"))
    app.deploy()
    app.write("2", web=ONE_BY_ONE)
    with app.asked("one", "two") as asking:
        for words in ("created killed-web", "waiting until it is healthy", "serves"):
            child = begun(app, words)
            child.send_signal(signal.SIGKILL)
            child.wait()
        done = app.deploy()
    assert "done" in done.out
    assert asking.failures == []
    assert [app.page(host) for host in app.hosts] == ["2"] * 2
    assert sorted(app.ps("{{.Host}} {{.Name}} {{.State}}")) == [
        f"{host} killed-web-{slot} running" for host, slot in sorted(_slots(app).items())
    ]


def _slots(app: Shop) -> dict[str, int]:
    return {line.split()[0]: int(line.split()[1]) for line in app.ps("{{.Host}} {{.Slot}}")}


def test_ctrl_c_stops_after_the_present_step(shop: Make, six: Fleet) -> None:
    app = shop("halted", 8113, ("one", "two"))
    app.deploy()
    app.write("2", web=ONE_BY_ONE)
    child = begun(app, "waiting until it is healthy")
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130 and b"carries on" in said
    assert sorted(app.page(host) for host in app.hosts) == ["1", "2"]
    app.deploy()
    assert [app.page(host) for host in app.hosts] == ["2"] * 2


def test_a_host_that_dies(shop: Make, six: Fleet) -> None:
    app = shop("mortal", 8114, ("three", "four", "five"))
    app.deploy()
    app.write("2", web=SLOW)
    child = begun(app, "waiting until it is healthy")
    six.outer("kill", "five")
    out, said = child.communicate(timeout=90)
    assert child.returncode == 1 and b"five" in said, (out, said)
    assert [app.page(host) for host in ("three", "four")] == ["2"] * 2
    refused = app.deploy(check=False)
    assert refused.code in (1, 255) and "five" in refused.err
    assert app.deploy("--skip-unreachable").code == 0
    six.outer("start", "five")
    six.answers("five")
    app.deploy()
    assert [app.page(host) for host in app.hosts] == ["2"] * 3
    assert len(app.ps()) == 3


def test_a_full_disk(shop: Make, six: Fleet) -> None:
    app = shop("full", 8115, ("one", "six"))
    app.deploy()
    app.write("2")
    six.inside("six", "sh", "-c", "dd if=/dev/zero of=/var/lib/lxcwrap/filler bs=1M; true")
    try:
        failed = app.deploy(check=False)
        assert failed.code == 1 and "six" in failed.err and "pace" in failed.err, failed
        assert app.page("six") == "1"
    finally:
        six.inside("six", "rm", "/var/lib/lxcwrap/filler")
    app.deploy()
    assert [app.page(host) for host in app.hosts] == ["2"] * 2
    assert len(app.ps()) == 2


BAD = """
tc qdisc add dev eth0 root tbf rate 4mbit burst 16kb latency 300ms
nft add table inet bad
nft 'add chain inet bad in { type filter hook input priority -300; }'
nft add rule inet bad in iifname eth0 numgen random mod 100 '<' 5 drop
"""
GOOD = "tc qdisc del dev eth0 root; nft delete table inet bad"


def test_a_slow_and_lossy_network(shop: Make, six: Fleet) -> None:
    app = shop("far", 8116, ("one", "two"))
    app.deploy()
    app.write("2")
    six.inside("two", "sh", "-ec", BAD)
    try:
        app.deploy()
    finally:
        six.inside("two", "sh", "-c", GOOD)
    assert [app.page(host) for host in app.hosts] == ["2"] * 2


def test_a_connection_that_is_cut(shop: Make, six: Fleet) -> None:
    app = shop("cut", 8117, ("one", "two"))
    app.deploy()
    app.write("2", web=SLOW)
    child = begun(app, "waiting until it is healthy")
    six.inside(
        "two", "sh", "-c", "kill $(ps -o pid=,args= ax | grep '[s]shd: root@notty' | sed 's/^ *//' | cut -d' ' -f1)"
    )
    child.communicate(timeout=90)
    assert child.returncode in (1, 255)
    assert six("lock", "status", "-p", "cut").out == "cut is not locked\n"
    app.deploy()
    assert [app.page(host) for host in app.hosts] == ["2"] * 2
    assert len(app.ps()) == 2
