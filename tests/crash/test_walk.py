"""kill -9 of every process of every command that changes something, step by step.

One of a command's processes is killed before one of the system calls by which it changes something.  After that the
next commands work, ordinary commands remove what there is, the kernel's lists are what they were before, and what was
committed is whole.

Usually each command is killed once; ``LXCWRAP_WALK=20`` does it at (up to) so many steps of every process of each.
"""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import CHECKOUT, Cli, Result
from tests.crash.kernel_lists import KernelLists, leaked, supervisor_of
from tests.crash.test_killed import digests
from tests.image_files import image, layer, tar_of, write_layout

STEPS = int(os.environ.get("LXCWRAP_WALK", "0"))  # kills for each role of each command
_USUAL = {"command": 30, "supervisor": 50, "liblxc": 100, "init": 250, "nursery": 4}  # calls of a role
_PATIENCE = 60  # seconds for one command with a kill in it
_RUN = "run -d --name x -p 127.0.0.1::80 -v kept:/kept busybox sleep 1000"
_OWN = "network create net1"
_TAG = "tag busybox {registry}/it"
_FILES = "volume create vol"


class Case(NamedTuple):
    """``before``: commands that make what it needs, separated by ``;``.  In braces: a directory, a registry."""

    words: str
    before: str = ""
    roles: tuple[str, ...] = ("command",)


_STARTS = ("command", "supervisor", "liblxc", "init")
_RUNS = ("command", "supervisor")
CASES = {
    "run": Case("run --rm -p 127.0.0.1::80 -v vol:/etc busybox true", "", _STARTS),
    "run-d": Case(_RUN, "", _STARTS),
    "run-network": Case("run -d --name x --network net1 busybox sleep 1000", _OWN, _STARTS),
    "create": Case("create --name x -v vol:/v -v /anonymous busybox true"),
    "start": Case("start x", "create --name x -p 127.0.0.1::80 busybox sleep 1000", _STARTS),
    "stop": Case("stop -t 0 x", _RUN, _RUNS),
    "restart": Case("restart -t 0 x", _RUN, _STARTS),
    "kill": Case("kill x", _RUN, _RUNS),
    "rm": Case("rm x", "create --name x -v vol:/v -v /anonymous busybox true"),
    "rm-f": Case("rm -f -v x", f"{_OWN}; run -d --name x --network net1 -v /a busybox sleep 1000", _RUNS),
    "exec": Case("exec x sh -c 'echo new >/new'", _RUN, (*_RUNS, "liblxc")),
    "pause": Case("pause x", _RUN, _RUNS),
    "unpause": Case("unpause x", f"{_RUN}; pause x", _RUNS),
    "rename": Case("rename x y", _RUN, _RUNS),
    "update": Case("update --memory 64m --restart always x", _RUN, _RUNS),
    "edit": Case("container edit --env A=B x", _RUN, _STARTS),
    "commit": Case("commit x made", _RUN, _RUNS),
    "cp-in": Case("cp {place}/Dockerfile x:/copied", _RUN),
    "cp-out": Case("cp kept:/kept {place}/taken"),
    "build": Case("build -q -t made {place}", "builder prune -af", ("command", "nursery", "supervisor", "liblxc")),
    "pull": Case("pull -q {registry}/it", f"{_TAG}; push -q {{registry}}/it; rmi {{registry}}/it"),
    "push": Case("push -q {registry}/it", _TAG),
    "load": Case("load -q -i {place}/archive.tar"),
    "save": Case("save -o {place}/saved.tar busybox"),
    "import": Case("import {place}/files.tar made"),
    "tag": Case("tag busybox made"),
    "rmi": Case("rmi made", "commit kept made"),
    "image-prune": Case("image prune -f", "commit kept made; tag busybox made"),
    "volume-create": Case("volume create vol"),
    "volume-rm": Case("volume rm vol", _FILES),
    "volume-cp": Case("volume cp {place}/Dockerfile vol:/", _FILES),
    "volume-rename": Case("volume rename vol vol2", _FILES),
    "volume-import": Case("volume import vol {place}/files.tar"),
    "volume-prune": Case("volume prune -f", "volume create"),
    "network-create": Case("network create net1"),
    "network-rm": Case("network rm net1", f"{_OWN}; run --rm --network net1 busybox true"),
    "network-connect": Case("network connect net1 x", f"{_OWN}; {_RUN}"),
    "network-disconnect": Case("network disconnect net1 x", f"{_OWN}; {_RUN}; network connect net1 x"),
    "network-prune": Case("network prune -f", f"{_OWN}; run --rm --network net1 busybox true"),
    "take-over": Case(
        "app-end take-over new x --name x --publish 127.0.0.1:8123:80 --alias net1=a",
        f"{_OWN}; run -d --name x --network net1 -p 127.0.0.1:8123:80 busybox sleep 1000; "
        "run -d --name new --network net1 busybox sleep 1000",
        _RUNS,
    ),
    "container-prune": Case(
        "container prune -f --filter label=y", "create --name x --label y -v /anonymous busybox true"
    ),
    "template": Case("template build -t made busybox"),
}


class Ground(NamedTuple):
    """The state root that every step begins and ends with."""

    cli: Cli
    place: Path
    registry: str
    kept: str  # the id of a container
    layers: dict[str, str]  # by chain ID, their digests

    def words(self, text: str) -> list[str]:
        return shlex.split(text.format(place=self.place, registry=self.registry))


@pytest.fixture(scope="module")
def ground(cli: Cli, busybox: str, registry: str, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Busybox, a container and a volume that must not be harmed, and files to be copied, loaded and built."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of system calls are x86_64's")
    place = tmp_path_factory.mktemp("walk")
    made = image([layer({"a/": b"", "a/x": b"x" * 100_000}), layer({"z": b"z" * 300_000})])
    write_layout(place / "layout", {"t": made})
    (place / "archive.tar").write_bytes(tar_of(place / "layout"))
    (place / "files.tar").write_bytes(tar_of(place / "layout"))
    (place / ".dockerignore").write_text("*\n!Dockerfile\n")
    (place / "Dockerfile").write_text("FROM busybox\nRUN echo one >/one\nCOPY Dockerfile /two\nRUN rm /one\n")
    cli("run", "--name", "kept", "-v", "kept:/data", busybox, "sh", "-c", "echo kept >/kept; echo data >/data/file")
    kept = cli("inspect", "-f", "{{.Id}}", "kept").out.strip()
    return Ground(cli, place, registry, kept, digests(cli.root))


class Traced(NamedTuple):
    """What stepping.py wrote: calls by role, before which call somebody was killed, the command's exit code."""

    calls: dict[str, list[str]]
    killed: str
    code: int | None
    err: str


def traced(ground: Ground, case: Case, log: Path, role: str = "-", number: int = 0) -> Traced:
    """Run the case, with a process of ``role`` killed before its ``number``-th call.  What runs already takes part."""
    running = []
    if "supervisor" in case.roles:
        for container in ground.cli("ps", "-q", "--no-trunc").lines:
            running.append(f"{supervisor_of(ground.cli.root, container)}=supervisor")
    argv = [sys.executable, f"{CHECKOUT}/tests/crash/stepping.py", str(log), role, str(number), *running, "--"]
    argv += ground.cli.argv(*ground.words(case.words))
    log.unlink(missing_ok=True)
    with open(f"{log}.err", "wb") as err:
        null: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": err}
        subprocess.run(argv, env=ground.cli.environment, timeout=_PATIENCE, check=True, **null)
    return Traced(**json.loads(log.read_text()), err=Path(f"{log}.err").read_text())


def prepare(ground: Ground, case: Case) -> None:
    for words in filter(None, case.before.split(";")):
        ground.cli(*ground.words(words))


def clean(ground: Ground) -> list[str]:
    """Remove everything that is not the ground's with ordinary commands; the commands that failed."""
    cli, failed = ground.cli, []

    def do(*words: str) -> None:
        done = cli(*words, check=False)
        if done.code:
            failed.append(f"{' '.join(words)}: {done.code} {done.err.strip()}")

    if containers := rows(cli, "SELECT name FROM containers WHERE name != 'kept'"):
        do("rm", "-f", "-v", *containers)
    if tags := rows(cli, "SELECT reference FROM image_references WHERE reference NOT LIKE '%/busybox:latest'"):
        do("rmi", *tags)
    if rows(cli, "SELECT key FROM build_cache"):
        do("builder", "prune", "-af")
    do("image", "prune", "-f")
    if rows(cli, "SELECT name FROM networks WHERE name != 'bridge'"):
        do("network", "prune", "-f")
    if rows(cli, "SELECT name FROM volumes WHERE name != 'kept'"):
        do("volume", "prune", "-f", "--filter", "all=true")
    return failed


def rows(cli: Cli, query: str) -> list[str]:
    db = sqlite3.connect(f"{cli.root}/state.db", timeout=30)
    try:
        return [row[0] for row in db.execute(query)]
    finally:
        db.close()


def harm(ground: Ground) -> list[str]:
    """What is not whole of what was there before, and what is half-made."""
    root = ground.cli.root
    found = [f"staging: {name}" for name in os.listdir(f"{root}/tmp")]
    if Path(root, "volumes/kept/file").read_text() != "data\n":
        found.append("the volume's file has changed")
    if Path(root, "containers", ground.kept, "upper/kept").read_text() != "kept\n":
        found.append("the container's file has changed")
    if digests(root) != ground.layers:
        found.append("the layers have changed")
    for folder, query in (("containers", "SELECT id FROM containers"), ("volumes", "SELECT name FROM volumes")):
        names, known = set(os.listdir(f"{root}/{folder}")), set(rows(ground.cli, query))
        found += [f"{folder}: {name}" for name in sorted(names ^ known)]
    return found + [line for line in rows(ground.cli, "PRAGMA integrity_check") if line != "ok"]


def clear_line(done: Result) -> bool:
    """It worked, or says in one line why not."""
    return done.code == 0 or (done.err.startswith("lxcwrap: ") and done.err.count("\n") == 1)


def complaints(ground: Ground, case: Case, what: Traced, before: KernelLists) -> list[str]:
    """After a kill: the next commands, the same command again, everything removed, the lists compared."""
    cli = ground.cli
    found = [] if what.code is not None else ["the command did not end"]
    if (done := cli("ps", "-a", check=False)).code:
        found.append(f"ps: {done.code} {done.err.strip()}")
    again = cli(*ground.words(case.words), check=False)
    if not clear_line(again):
        found.append(f"again: {again.code} {again.err.strip()}")
    found += clean(ground)
    found += leaked(cli.root, before).splitlines()
    return found + harm(ground)


class Found(NamedTuple):
    """What one run gave, with a kill in it or not."""

    done: Traced
    wrong: list[str]


def run(ground: Ground, case: Case, log: Path, role: str = "-", number: int = 0) -> Found:
    before = KernelLists.settled(ground.cli.root)
    prepare(ground, case)
    done = traced(ground, case, log, role, number)
    assert done.killed or done.code == 0, done.err
    where = f"{role} killed before call {number} ({done.killed})" if done.killed else "undisturbed"
    wrong = [f"{where}: {line}" for line in complaints(ground, case, done, before)]
    if "LXCWRAP_WALK_LOG" in os.environ:  # findings of a long walk, as they come
        with open(os.environ["LXCWRAP_WALK_LOG"], "a", encoding="utf-8") as stream:
            stream.writelines(f"{case.words}: {line}\n" for line in wrong)
    return Found(done, wrong)


@pytest.mark.parametrize("name", CASES)
def test_killed(ground: Ground, tmp_path: Path, name: str) -> None:
    walk = everywhere if STEPS else somewhere
    assert walk(ground, name, tmp_path / "log") == []


def somewhere(ground: Ground, name: str, log: Path) -> list[str]:
    """At one call of one process; where, depends on nothing but the name."""
    case, number = CASES[name], zlib.crc32(name.encode())
    role = case.roles[number % len(case.roles)]
    found = run(ground, case, log, role, number % _USUAL[role])
    if found.done.killed:
        return found.wrong
    return found.wrong + run(ground, case, log, role, number % len(found.done.calls[role])).wrong


def everywhere(ground: Ground, name: str, log: Path) -> list[str]:
    """At so many calls of each process, spread over all that it makes."""
    case = CASES[name]
    whole = run(ground, case, log)
    wrong = whole.wrong
    for role in case.roles:
        count = len(whole.done.calls.get(role, []))
        for number in sorted({step * count // STEPS for step in range(STEPS)} if count else ()):
            wrong += run(ground, case, log, role, number).wrong
    return wrong
