"""kill -9 at every kind of moment: the next commands work, what was there is whole, and what was half-made goes.

strace(1) kills whichever process of a command is the first to make its N-th call that changes files; the N are
spread over all such calls that the command makes when it is left alone.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lxcwrap.archive.checked import HashingWriter
from lxcwrap.model.paths import Paths
from lxcwrap.storage import overlay
from tests.conftest import Cli
from tests.faulty_registry import running
from tests.image_files import image, layer, tar_of, write_layout

CALLS = "rename,mkdir,mkdirat,unlink,unlinkat,rmdir,symlinkat,fchmod,fsync,fdatasync,syncfs,pwrite64,mount,umount2"
POINTS = 3  # kills for each command
DOCKERFILE = "FROM busybox\nRUN echo one >/one\nCOPY Dockerfile /two\nRUN rm /one\n"


@pytest.fixture(scope="module")
def base(cli: Cli, busybox: str, needs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Busybox and a container that changed something; a directory with an archive and a Dockerfile."""
    needs("strace")
    place = tmp_path_factory.mktemp("crash")
    made = image([layer({"a/": b"", "a/x": b"x" * 100_000}), layer({"a/y": b"y"}), layer({"z": b"z" * 300_000})])
    write_layout(place / "layout", {"t": made})
    (place / "archive.tar").write_bytes(tar_of(place / "layout"))
    (place / "Dockerfile").write_text(DOCKERFILE)
    cli("run", "--network", "none", "--name", "kept", busybox, "sh", "-c", "echo kept >/kept; mkdir /d; touch /d/{1,2}")
    return place


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with running() as served:
        served.add("me/it", "1", image([layer({"p": b"p" * 200_000}), layer({"q": b"q"}), layer({"r/": b""})]))
        yield f"{served.host}/me/it:1"


Call = tuple[str, int]  # a system call's name, and which of the calls of that name of one process


def traced(cli: Cli, words: list[str], log: Path, kill_at: Call | None = None) -> list[Call]:
    """Run under strace, killed at that call of one of its processes; returns the calls of the busiest process."""
    kill = ["-e", f"inject={kill_at[0]}:signal=KILL:when={kill_at[1]}"] if kill_at else []
    argv = ["strace", "-f", "-q", "-o", str(log), "-e", f"trace={CALLS}", *kill, *cli.argv(*words)]
    with subprocess.Popen(
        argv, env=cli.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as tracer:
        try:
            tracer.wait(3 if kill_at else 20)  # what a killed supervisor leaves running is not waited for
        except subprocess.TimeoutExpired:
            assert kill_at, f"{words} did not end"
        finally:
            end_survivors(cli.root)
            tracer.kill()
    text = log.read_text()
    assert not kill_at or "killed by SIGKILL" in text, f"{words} was not killed at {kill_at}"
    by_process: dict[str, list[Call]] = {}
    for pid, name in re.findall(r"^(\d+) +([a-z_0-9]+)\(", text, re.MULTILINE):
        calls = by_process.setdefault(pid, [])
        calls.append((name, 1 + sum(other == name for other, _ in calls)))
    return max(by_process.values(), key=len)


def spread(calls: list[Call]) -> list[Call]:
    """From the first to nearly the last; the last may depend on what was there before."""
    return [calls[number * (len(calls) - 2) // (POINTS - 1)] for number in range(POINTS)]


def end_survivors(root: str) -> None:
    """Processes of this root that outlived the killed one: its supervisor, should it have one."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                environment = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                if f"LXCWRAP_ROOT={root}".encode() in environment:
                    os.kill(int(entry), signal.SIGKILL)
            except OSError:
                continue


def digest_of(paths: Paths, chain: str) -> str:
    """Of the layer as it is on disk, in the canonical form (which is not the registry's)."""
    counted = HashingWriter()
    overlay.write_layer(f"{paths.layer(chain)}/diff", counted)
    return counted.digest


def digests(root: str) -> dict[str, str]:
    """Of all layers, by chain ID."""
    paths = Paths(root)
    return {chain: digest_of(paths, chain) for chain in (f"sha256:{name}" for name in os.listdir(f"{root}/layers"))}


def check_layers(paths: Paths, db: sqlite3.Connection, whole: dict[str, str]) -> None:
    """Every known layer is there, as it was when nothing was killed or as its digest says."""
    rows = db.execute("SELECT chain_id, diff_id FROM layers").fetchall()
    assert {chain[7:] for chain, _ in rows} == set(os.listdir(f"{paths.root}/layers"))
    for chain, diff_id in rows:
        assert digest_of(paths, chain) == whole.get(chain, diff_id)


def check(cli: Cli, whole: dict[str, str]) -> None:
    """What must hold after a crash and one command that sweeps."""
    paths = Paths(cli.root)
    cli("image", "prune", "-f")
    db = sqlite3.connect(paths.database)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        check_layers(paths, db, whole)
        known = {row[0] for row in db.execute("SELECT id FROM containers")}
        assert set(os.listdir(f"{paths.root}/containers")) == known
    finally:
        db.close()
    assert_nothing_left(cli.root)
    assert os.listdir(paths.staging) == []
    assert [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {cli.root}/" in line] == []
    assert "kept" in cli("ps", "-a", "--format", "{{.Names}}").lines


def crash(
    cli: Cli, tmp_path: Path, words: list[str], before: Callable[[], object], after: Callable[[], object]
) -> None:
    """Let it run once, then kill it at some of its calls, with ``before`` and ``after`` around each time."""
    before()
    whole = digests(cli.root)
    calls = traced(cli, words, tmp_path / "log")
    whole |= digests(cli.root)
    after()
    for call in spread(calls):
        before()
        traced(cli, words, tmp_path / "log", call)
        check(cli, whole)
        after()


def nothing() -> None: ...


def gone(cli: Cli, *names: str) -> Callable[[], object]:
    """Removes images and containers of these names, where there are any."""

    def remove() -> None:
        cli("rm", "-f", *names, check=False)
        cli("rmi", "-f", *names, check=False)

    return remove


def test_load(cli: Cli, base: Path, tmp_path: Path) -> None:
    def forget() -> None:
        for image_id in set(cli("images", "-qa").lines) - kept:
            cli("rmi", "-f", image_id)

    kept = set(cli("images", "-qa").lines)
    crash(cli, tmp_path, ["load", "-q", "-i", f"{base}/archive.tar"], nothing, forget)
    cli("load", "-i", f"{base}/archive.tar")
    forget()


def test_pull(cli: Cli, base: Path, registry: str, tmp_path: Path) -> None:
    crash(cli, tmp_path, ["pull", "-q", registry], nothing, gone(cli, registry))
    cli("pull", registry)


def test_commit(cli: Cli, base: Path, tmp_path: Path) -> None:
    crash(cli, tmp_path, ["commit", "kept", "made"], nothing, gone(cli, "made"))
    cli("commit", "kept", "made")
    assert cli("run", "--rm", "--network", "none", "made", "cat", "/kept").out == "kept\n"


def test_build(cli: Cli, base: Path, tmp_path: Path) -> None:
    words = ["build", "-q", "--network", "none", "-t", "built", str(base)]
    crash(cli, tmp_path, words, lambda: cli("builder", "prune", "-af"), gone(cli, "built"))
    cli(*words)
    shown = cli("run", "--rm", "--network", "none", "built", "sh", "-c", "ls /one /two 2>/dev/null", check=False).lines
    assert shown == ["/two"]


def test_create(cli: Cli, base: Path, tmp_path: Path) -> None:
    words = ["create", "--network", "none", "--name", "new", "busybox", "true"]
    crash(cli, tmp_path, words, nothing, gone(cli, "new"))
    cli(*words)
    cli("rm", "new")


def test_run_whose_client_is_killed(cli: Cli, base: Path) -> None:
    """Its supervisor sees the container through, or never came to be."""
    for delay in (0.03, 0.06, 0.09, 0.12):
        with cli.popen("run", "--network", "none", "--name", "new", "busybox", "true", stdout=-3, stderr=-3) as client:
            time.sleep(delay)
            client.kill()
        cli("rm", "-f", "new", check=False)
        assert "new" not in cli("ps", "-a", "--format", "{{.Names}}").lines
        check(cli, digests(cli.root))


def test_rm(cli: Cli, base: Path, tmp_path: Path) -> None:
    def make() -> None:
        cli("create", "--network", "none", "--name", "old", "busybox", "true")

    crash(cli, tmp_path, ["rm", "-f", "old"], make, gone(cli, "old"))
    assert "old" not in cli("ps", "-a", "--format", "{{.Names}}").lines


EDIT = ["container", "edit", "--image", "second", "-v", "new:/w", "--volume-rm", "/v", "edited"]


@pytest.fixture
def second(cli: Cli, base: Path, tmp_path: Path) -> Iterator[str]:
    """Another image."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo new >/version\nENV V=new\n")
    cli("build", "-q", "--network", "none", "-t", "second", str(tmp_path))
    yield "second"
    cli("rm", "-f", "edited", check=False)
    cli("rmi", "second")


def edited(cli: Cli) -> str:
    """The image of the container, which is the old one or the new one, whole, and starts; then it is removed."""
    script = "cat /version 2>/dev/null; echo $V; grep -o ' /[vw] ' /proc/mounts; cat /mine"
    cli("start", "edited")
    shown = cli("exec", "edited", "sh", "-c", script, check=False).lines
    image = cli("inspect", "-f", "{{.Config.Image}} {{.HostConfig.Binds}}", "edited").out
    expected = {"busybox [old:/v]\n": ["", " /v ", "mine"], "second [new:/w]\n": ["new", "new", " /w ", "mine"]}
    assert shown == expected[image]
    cli("rm", "-f", "edited")
    words = ("run", "--rm", "--network", "none", "-v", "old:/v", "busybox", "cat", "/v/f")
    assert cli(*words).out == "of the volume\n"
    return image


def make_edited(cli: Cli) -> None:
    script = "echo mine >/mine; echo of the volume >/v/f; touch /v/ready; exec sleep 600"
    cli("run", "-d", "--network", "none", "--name", "edited", "-v", "old:/v", "busybox", "sh", "-c", script)
    for _ in range(100):
        if cli("exec", "edited", "ls", "/v/ready", check=False).code == 0:
            return
        time.sleep(0.05)


def test_edit(cli: Cli, second: str, tmp_path: Path) -> None:
    def make() -> None:
        make_edited(cli)
        cli("stop", "-t", "0", "edited")
        cli("volume", "rm", "-f", "new")

    seen: set[str] = set()
    crash(cli, tmp_path, EDIT, make, lambda: seen.add(edited(cli)))
    assert len(seen) == 2


def test_edit_of_a_container_that_runs(cli: Cli, second: str) -> None:
    """Killed before, while and after the old one is stopped and the new one is started."""
    for delay in (0.25, 0.35, 0.5, 0.8):
        make_edited(cli)
        with cli.popen(*EDIT, stdin=-3, stdout=-3, stderr=-3) as client:
            time.sleep(delay)
            client.kill()
        edited(cli)
        check(cli, digests(cli.root))


@pytest.mark.parametrize("words", [["rmi", "-f", "doomed"], ["image", "prune", "-f"]], ids=["rmi", "prune"])
def test_images_going(cli: Cli, base: Path, tmp_path: Path, words: list[str]) -> None:
    def make() -> None:
        cli("commit", "kept", "doomed")
        if words[0] == "image":
            cli("tag", "busybox", "doomed")  # which leaves the other without a name

    crash(cli, tmp_path, words, make, gone(cli, "doomed"))
    assert cli("run", "--rm", "--network", "none", "busybox", "echo", "alive").out == "alive\n"


def test_first_process_killed_while_it_is_set_up(cli: Cli, base: Path, tmp_path: Path) -> None:
    """liblxc would wait for it for ever."""
    kill = ["-e", "trace=mount", "-e", "inject=mount:signal=KILL:when=12"]  # only the container's mounts so much
    argv = ["strace", "-f", "-q", "-o", str(tmp_path / "log"), *kill]
    argv += cli.argv("run", "--name", "stillborn", "--network", "none", "busybox", "true")
    done = subprocess.run(argv, env=cli.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert "killed by SIGKILL" in (tmp_path / "log").read_text()
    assert done.returncode == 125
    assert b"its first process was killed while it was set up" in done.stderr
    assert cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "stillborn").out == "exited 125\n"
    cli("rm", "stillborn")
    assert_nothing_left(cli.root)


def test_step_whose_build_is_killed_ends(cli: Cli, base: Path, tmp_path: Path) -> None:
    """At any moment: also while its container is being set up."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN sleep 98765\n")
    for delay in (0.10, 0.14, 0.18, 0.22, 0.26, 0.4):
        words = ("build", "--no-cache", "--network", "none", str(tmp_path))
        with cli.popen(*words, stdin=-3, stdout=-3, stderr=-3) as client:
            time.sleep(delay)
            client.kill()
    assert_nothing_left(cli.root)


def test_supervisor_killed_while_it_fills_a_volume(cli: Cli, base: Path, tmp_path: Path) -> None:
    """The next start fills it anew; what the volume got later stays."""
    words = ("run", "--rm", "--network", "none", "-v", "half:/etc", "busybox")
    kill = ["-e", "trace=sendfile", "-e", "inject=sendfile:signal=KILL:when=3"]
    argv = ["strace", "-f", "-q", "-o", str(tmp_path / "log"), *kill, *cli.argv(*words, "true")]
    done = subprocess.run(argv, env=cli.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert "killed by SIGKILL" in (tmp_path / "log").read_text()
    assert done.returncode == 137
    whole = cli("run", "--rm", "--network", "none", "busybox", "sh", "-c", "cd /etc; cat group passwd").out
    assert cli(*words, "sh", "-c", "cd /etc; cat group passwd; echo mine >mine").out == whole
    assert cli(*words, "cat", "/etc/mine").out == "mine\n"
    assert [name for name in os.listdir(f"{cli.root}/volumes") if name.startswith(".")] == []


def assert_nothing_left(root: str) -> None:
    """No process works below the root any more; those that are about to end get some seconds."""
    for _ in range(100):
        left = [entry for entry in os.listdir("/proc") if entry.isdigit() and _works_below(entry, root)]
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {[Path(f'/proc/{entry}/cmdline').read_bytes() for entry in left]}")


def _works_below(pid: str, root: str) -> bool:
    """Whether a file that it has open, or its command, names the root or the sleep that was to go."""
    try:
        if b"98765" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return True
        return any(os.readlink(f"/proc/{pid}/fd/{name}").startswith(root) for name in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False
