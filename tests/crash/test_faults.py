"""kill -9 and kill -STOP of what runs beside a container: nothing is left, and who is in the way is named."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.errors import LxcwrapError
from lxcwrap.kernel import lock
from lxcwrap.model.paths import Paths
from lxcwrap.network import default
from lxcwrap.store import database
from tests.conftest import Cli, Result
from tests.crash.kernel_lists import KernelLists, leaked, supervisor_of
from tests.crash.test_killed import end_survivors

_PATIENCE = 10.0  # seconds
_BOUND = 20.0  # seconds in which a command must say what is wrong


@pytest.fixture(scope="module")
def before(cli: Cli, busybox: str) -> KernelLists:
    """With the default network in place."""
    cli("run", "--rm", busybox, "true")
    return KernelLists.settled(cli.root)


@pytest.fixture(autouse=True)
def alone(cli: Cli, before: KernelLists) -> Iterator[None]:
    """No test finds what a failed one left."""
    yield
    left = cli("ps", "-aq", check=False).lines
    if left:
        cli("rm", "-f", *left)


@pytest.fixture
def network(cli: Cli, before: KernelLists) -> Iterator[str]:
    cli("network", "create", "own")
    yield "own"
    cli("network", "rm", "-f", "own")


def id_of(cli: Cli, name: str) -> str:
    return cli("inspect", "-f", "{{.Id}}", name).out.strip()


def liblxc_of(supervisor: int) -> int:
    return int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])


def until(true: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def status(cli: Cli, name: str) -> str:
    return cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).out.strip()


def resolvers(cli: Cli) -> list[str]:
    return [line for line in KernelLists.of(cli.root).processes if "dnsmasq" in line]


@pytest.mark.parametrize("taking_stock", [("ps",), ("network", "ls")], ids=" ".join)
def test_supervisor_killed(cli: Cli, before: KernelLists, network: str, taking_stock: tuple[str, ...]) -> None:
    """One command that takes stock ends all that is left but the container itself, which starts again."""
    words = ("run", "-d", "--name", "x", "--network", network, "-p", "127.0.0.1::80")
    cli(*words, "busybox", "sh", "-c", "echo kept >>/kept; sleep 1000")
    cli("stop", "-t", "0", "x")
    quiet = KernelLists.settled(cli.root)
    cli("start", "x")
    os.kill(supervisor_of(cli.root, id_of(cli, "x")), signal.SIGKILL)
    time.sleep(0.5)
    cli(*taking_stock)
    assert leaked(cli.root, quiet) == ""
    assert status(cli, "x") == "exited 137"
    finished = cli("inspect", "-f", "{{.State.FinishedAt}}", "x").out
    assert cli("inspect", "-f", "{{.State.FinishedAt}}", "x").out == finished > "2020"
    cli("start", "x")
    assert status(cli, "x") == "running 0"
    assert "kept" in cli("exec", "x", "cat", "/kept").out
    cli("rm", "-f", "x")
    cli("network", "rm", network)
    assert leaked(cli.root, before) == ""


@pytest.mark.parametrize("at_once", [("rm", "-f", "x"), ("rm", "x"), ("container", "prune", "-f")], ids=" ".join)
def test_supervisor_killed_then_removed(cli: Cli, before: KernelLists, network: str, at_once: tuple[str, ...]) -> None:
    cli("run", "-d", "--name", "x", "--network", network, "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    os.kill(supervisor_of(cli.root, id_of(cli, "x")), signal.SIGKILL)
    cli(*at_once)
    cli("network", "rm", network)
    assert leaked(cli.root, before) == ""


def test_removal_that_was_cut(cli: Cli, before: KernelLists) -> None:
    """Its row is gone; no command minds, and what is left goes with the next that clears up."""
    for name in ("x", "y"):
        cli("run", "-d", "--name", name, "busybox", "sleep", "1000")
        os.kill(supervisor_of(cli.root, id_of(cli, name)), signal.SIGKILL)
    cli("ps")
    for name in ("x", "y"):
        cli("start", name)
        os.kill(supervisor_of(cli.root, id_of(cli, name)), signal.SIGKILL)
    with sqlite3.connect(f"{cli.root}/state.db") as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("DELETE FROM containers WHERE name = 'x'")
    assert cli("ps", "-a", "--format", "{{.Names}}").out == "y\n"
    cli("image", "prune", "-f")
    cli("rm", "y")
    assert leaked(cli.root, before) == ""


def test_supervisor_of_a_paused_container_killed(cli: Cli, before: KernelLists) -> None:
    """What is frozen does not die by itself."""
    cli("run", "-d", "--name", "x", "busybox", "sleep", "1000")
    cli("pause", "x")
    init = int(cli("inspect", "-f", "{{.State.Pid}}", "x").out)
    os.kill(supervisor_of(cli.root, id_of(cli, "x")), signal.SIGKILL)
    until(lambda: status(cli, "x") == "exited 137", "its end is not seen")
    cli("ps")
    until(lambda: not os.path.exists(f"/proc/{init}"), "its process is still there")
    cli("rm", "x")
    assert leaked(cli.root, before) == ""


def test_supervisor_of_a_container_in_the_hosts_pid_namespace_killed(cli: Cli, before: KernelLists) -> None:
    """Nothing but its control group holds such a container's processes together."""
    argv = ("run", "-d", "--name", "x", "--pid", "host", "busybox", "sh", "-c", "sleep 98761 & exec sleep 98762")
    cli(*argv)
    os.kill(supervisor_of(cli.root, id_of(cli, "x")), signal.SIGKILL)
    cli("rm", "-f", "x")
    assert subprocess.run(["pgrep", "-f", "sleep 9876[12]"], capture_output=True).stdout == b""
    assert leaked(cli.root, before) == ""


def test_liblxc_killed(cli: Cli, before: KernelLists) -> None:
    cli("run", "-d", "--name", "x", "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    cli("stop", "-t", "0", "x")
    quiet = KernelLists.settled(cli.root)
    cli("start", "x")
    os.kill(liblxc_of(supervisor_of(cli.root, id_of(cli, "x"))), signal.SIGKILL)
    assert cli("wait", "x").out == "137\n"
    assert leaked(cli.root, quiet) == ""
    cli("start", "x")
    cli("rm", "-f", "x")
    assert leaked(cli.root, before) == ""


@pytest.mark.parametrize("who", ["liblxc", "init"])
def test_killed_container_restarts_by_its_policy(cli: Cli, before: KernelLists, who: str) -> None:
    cli("run", "-d", "--name", "x", "--restart", "always", "busybox", "sleep", "1000")
    supervisor = supervisor_of(cli.root, id_of(cli, "x"))
    for number in (1, 2):
        init = int(cli("inspect", "-f", "{{.State.Pid}}", "x").out)
        os.kill(liblxc_of(supervisor) if who == "liblxc" else init, signal.SIGKILL)
        wanted = f"running {number}\n"
        shown = ("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "x")
        until(lambda: cli(*shown).out == wanted, "it was not started again")  # noqa: B023
    assert cli("exec", "x", "ip", "addr", "show", "eth0").code == 0
    names = [name for name in KernelLists.of(cli.root).cgroups if name.startswith("lxc.payload")]
    assert names == [f"lxc.payload.{id_of(cli, 'x')}"]
    cli("rm", "-f", "x")
    assert leaked(cli.root, before) == ""


def test_resolver_killed(cli: Cli, before: KernelLists, network: str) -> None:
    """The next container's start makes another for all, and so does whoever looks at the networks."""
    for name in ("one", "two"):
        cli("run", "-d", "--name", name, "--network", network, "busybox", "sleep", "1000")
        (only,) = resolvers(cli)
        os.kill(int(only.split()[0]), signal.SIGKILL)
    cli("network", "ls")
    assert cli("exec", "one", "nslookup", "two", check=False).code == 0
    cli("run", "-d", "--name", "three", "--network", network, "busybox", "sleep", "1000")
    for name in ("one", "two", "three"):
        assert cli("exec", "one", "nslookup", name, check=False).code == 0
    cli("rm", "-f", "one", "two", "three")
    cli("network", "rm", network)
    assert leaked(cli.root, before) == ""


def test_step_of_a_build_whose_processes_are_killed(cli: Cli, before: KernelLists, tmp_path: Path) -> None:
    """The build fails in one line, and leaves nothing; nor does one that is killed itself with all that it started."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN sleep 98763\n")
    for whom in ("liblxc", "supervisor", "all"):
        build = cli.popen("build", "-q", tmp_path, stdin=-3, stdout=-3, stderr=subprocess.PIPE)
        until(lambda: bool(sleeper()), "the step does not run")
        liblxc = parent_of(sleeper()[0])
        if whom == "all":
            build.kill()
            end_survivors(cli.root)
        os.kill(liblxc if whom == "liblxc" else parent_of(liblxc), signal.SIGKILL)
        said = build.communicate(timeout=30)[1].decode()
        assert build.returncode == (-9 if whom == "all" else 1)
        assert whom == "all" or said.splitlines()[-1].startswith("lxcwrap: Dockerfile:2: RUN sleep 98763: ")
        until(lambda: not sleeper(), "the step runs on")
        cli("builder" if whom == "all" else "image", "prune", "-f")
        assert leaked(cli.root, before) == "", whom


def sleeper() -> list[int]:
    found = subprocess.run(["pgrep", "-x", "-f", "sleep 98763"], capture_output=True, text=True).stdout.split()
    return [pid for pid in map(int, found) if "lxc.payload.build-" in Path(f"/proc/{pid}/cgroup").read_text()]


def parent_of(pid: int) -> int:
    return int(re.search(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])  # type: ignore[index]


def test_volume_whose_removal_was_cut(cli: Cli, before: KernelLists) -> None:
    """Its files go with the next command that clears up; those of others stay."""
    cli("volume", "create", "whole")
    for name in ("gone", ".filling-gone"):
        Path(cli.root, "volumes", name).mkdir() if name == "gone" else Path(cli.root, "volumes", name).touch()
    cli("image", "prune", "-f")
    assert os.listdir(f"{cli.root}/volumes") == ["whole"]
    cli("volume", "rm", "whole")


def test_commit_killed_while_the_container_stands_still(cli: Cli, before: KernelLists) -> None:
    """It goes on."""
    cli("run", "-d", "--name", "x", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=200; sleep 1000")
    until(lambda: "200+0" in cli("logs", "x").err, "it does not write")
    commit = cli.popen("commit", "x", "made", stdin=-3, stdout=-3)
    until(lambda: status(cli, "x").startswith("paused"), "it does not stand still")
    commit.kill()
    commit.wait()
    until(lambda: status(cli, "x").startswith("running"), "it does not go on")
    assert cli("exec", "x", "echo", "alive").out == "alive\n"
    cli("rm", "-f", "x")
    cli("image", "prune", "-f")
    assert leaked(cli.root, before) == ""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def within_bounds(cli: Cli, *words: str) -> Result:
    began = time.monotonic()
    done = cli(*words, check=False)
    assert time.monotonic() - began < _BOUND, words
    assert done.code == 0 or (done.err.startswith("lxcwrap: ") and done.err.count("\n") == 1), done.err
    return done


_NEED_IT = (
    "exec x true", "stop x", "kill x", "restart x", "pause x", "rm x", "attach x", "update --memory 64m x",
    "commit x y", "rename x y", "container edit --env A=B x",
)  # fmt: skip


def test_stopped_supervisor_is_named(cli: Cli, before: KernelLists, tmp_path: Path) -> None:
    """What needs it says so, and what does not goes on; when it goes on all is as before."""
    cli("run", "-d", "--name", "x", "busybox", "sleep", "1000")
    pid = supervisor_of(cli.root, id_of(cli, "x"))
    (tmp_path / "file").write_text("text")
    with stopped(pid):
        for words in ("ps", "inspect x", "top x", "logs x", f"cp {tmp_path}/file x:/", "run --rm busybox true"):
            assert within_bounds(cli, *words.split()).code == 0
        for words in _NEED_IT:
            done = within_bounds(cli, *words.split())
            assert done.code != 0
            assert f"process {pid}" in done.err or words == "rm x"
    assert cli("exec", "x", "cat", "/file").out == "text"
    assert status(cli, "x") == "running 0"
    cli("stop", "-t", "0", "x")
    cli("start", "x")
    os.kill(supervisor_of(cli.root, id_of(cli, "x")), signal.SIGSTOP)
    within_bounds(cli, "rm", "-f", "x")
    assert cli("ps", "-aq").out == ""
    assert leaked(cli.root, before) == ""


def test_stopped_holder_of_a_lock_is_named(cli: Cli, before: KernelLists) -> None:
    """Of the default network's, which a start needs when something of it is missing; of a container."""
    cli("create", "--name", "x", "busybox", "true")
    paths = Paths(cli.root)
    subprocess.run(["nft", "delete", "table", "inet", paths.nft_table], check=True)
    starting = f"{paths.container_run(id_of(cli, 'x'))}/starting"
    for path in (default.LOCK, starting):
        with stopped_with(path) as pid:
            done = within_bounds(cli, "start", "x")
            assert done.code != 0
            assert f"is held by process {pid}, which is stopped (kill -CONT {pid}" in done.err
    cli("start", "x")
    cli("wait", "x")
    cli("rm", "x")
    assert leaked(cli.root, before) == ""


def test_stopped_writer_of_the_database_is_named(cli: Cli, before: KernelLists, monkeypatch: Any) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.3)  # a minute otherwise
    store = database.Store(Paths(cli.root))

    def begin() -> object:
        return sqlite3.connect(f"{cli.root}/state.db", isolation_level=None).execute("BEGIN IMMEDIATE")

    with stopped_in(begin) as pid, pytest.raises(LxcwrapError, match=f"is held by process {pid}.* is stopped"):  # noqa: SIM117
        with store.transaction():
            pass
    with store.transaction():
        pass
    store.close()


def stopped_with(path: str) -> AbstractContextManager[int]:
    """The pid of a stopped process that holds the lock."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return stopped_in(lambda: lock.take(path))


_kept: list[object] = []


@contextmanager
def stopped_in(do: Callable[[], object]) -> Iterator[int]:
    """The pid of a process that is stopped once it has done something."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        _kept.append(do())
        os.write(write, b"+")
        signal.pause()
    os.read(read, 1)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)


def test_a_lock_that_is_given_back_is_waited_for(cli: Cli, before: KernelLists) -> None:
    """Also when its holder is stopped for a moment."""
    subprocess.run(["nft", "delete", "table", "inet", Paths(cli.root).nft_table], check=True)
    with stopped_with(default.LOCK) as pid:
        run = cli.popen("run", "--rm", "busybox", "true", stdin=-3)
        time.sleep(1.5)
        assert run.poll() is None
        os.kill(pid, signal.SIGCONT)
        time.sleep(3)
        assert run.poll() is None
        os.kill(pid, signal.SIGKILL)
        assert run.wait(20) == 0
    assert leaked(cli.root, before) == ""
