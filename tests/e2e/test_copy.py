"""``cp`` as a user types it: Docker's path rules, both directions, running or not, and links that mean harm."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.conftest import Cli


@pytest.fixture(scope="module")
def running(cli: Cli, busybox: str) -> str:
    cli("run", "-d", "--network", "none", "--name", "runs", "-v", "kept:/kept", busybox, "sleep", "600")
    return "runs"


@pytest.fixture(scope="module")
def stopped(cli: Cli, busybox: str) -> str:
    cli("create", "--network", "none", "--name", "rests", "-v", "idle:/kept", busybox, "true")
    return "rests"


@pytest.fixture(params=["runs", "rests"])
def container(request: pytest.FixtureRequest, running: str, stopped: str) -> str:
    name: str = request.param
    return name


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "one").write_bytes(b"1")
    (root / "sub" / "two").write_bytes(b"22")
    (root / "link").symlink_to("/etc/shadow")
    (root / "one").chmod(0o4751)
    return root


def members(cli: Cli, source: str) -> dict[str, tarfile.TarInfo]:
    content = subprocess.run(cli.argv("cp", source, "-"), env=cli.environment, stdout=-1, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {info.name: info for info in archive}


def test_there_and_back(cli: Cli, container: str, tree: Path, tmp_path: Path) -> None:
    done = cli("cp", tree, f"{container}:/fresh")
    assert (done.out, done.err) == ("", ""), "only a terminal is told, as with Docker"
    cli("cp", "-q", f"{container}:/fresh", tmp_path / "back")
    assert (tmp_path / "back" / "sub" / "two").read_bytes() == b"22"
    assert os.readlink(tmp_path / "back" / "link") == "/etc/shadow"
    assert (tmp_path / "back" / "one").stat().st_mode & 0o7777 == 0o4751
    found = members(cli, f"{container}:/fresh")
    assert {(info.uid, info.gid) for info in found.values()} == {(0, 0)}


def test_into_a_directory_that_is_there(cli: Cli, container: str, tree: Path) -> None:
    cli("cp", tree, f"{container}:/tmp")
    cli("cp", f"{tree}/.", f"{container}:/var")
    cli("cp", f"{tree}/one", f"{container}:/tmp/renamed")
    cli("cp", f"{tree}/one", f"{container}:/tmp/")
    assert {"tmp/tree/sub/two", "tmp/renamed", "tmp/one"} <= set(members(cli, f"{container}:/tmp"))
    assert {"var/one", "var/sub/two"} <= set(members(cli, f"{container}:/var"))
    assert {"./one", "./sub"} <= {f"./{name.removeprefix('./')}" for name in members(cli, f"{container}:/var/.")}


def test_a_volume(cli: Cli, container: str, tree: Path) -> None:
    cli("cp", f"{tree}/one", f"{container}:/kept/file")
    assert members(cli, f"{container}:/kept/file")["file"].uid == 0
    volume = Path(cli.root, "volumes", "kept" if container == "runs" else "idle")
    assert (volume / "file").stat().st_uid == 0


def test_owners_are_kept_on_request(cli: Cli, container: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    os.chown(tmp_path / "f", 12, 34)
    cli("cp", tmp_path / "f", f"{container}:/plain")
    cli("cp", "-a", tmp_path / "f", f"{container}:/kept-owner")
    assert members(cli, f"{container}:/plain")["plain"].uid == 0
    info = members(cli, f"{container}:/kept-owner")["kept-owner"]
    assert (info.uid, info.gid) == (12, 34)
    cli("cp", "-a", f"{container}:/kept-owner", tmp_path / "back")
    assert (tmp_path / "back").stat().st_gid == 34


def test_a_tar_on_standard_input(cli: Cli, container: str, tree: Path) -> None:
    packed = subprocess.run(["tar", "-C", tree, "--owner=5", "--group=6", "-czf", "-", "."], stdout=-1, check=True)
    cli("cp", "-", f"{container}:/home", input=packed.stdout) if _has(cli, container, "/home") else None
    cli("cp", "-", f"{container}:/tmp", input=packed.stdout)
    assert members(cli, f"{container}:/tmp/one")["one"].gid == 6
    refused = cli("cp", "-", f"{container}:/etc/group", input=packed.stdout, check=False)
    assert refused.code == 1 and "not a directory" in refused.err


def _has(cli: Cli, container: str, path: str) -> bool:
    return cli("cp", f"{container}:{path}", "-", check=False).code == 0


def test_links_on_request(cli: Cli, container: str, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "to").symlink_to("../etc/group")
    cli("cp", tmp_path / "links" / "to", f"{container}:/tmp/group-link")
    assert members(cli, f"{container}:/tmp/group-link")["group-link"].issym()
    cli("cp", "-L", f"{container}:/tmp/group-link", tmp_path / "followed")
    assert "root" in (tmp_path / "followed").read_text()


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("{c}:/nope", "{t}/x", "could not find the file /nope in container"),
        ("{t}/nope", "{c}:/tmp", "no such file or directory"),
        ("{t}/tree/one", "{c}:/no/such/place", "no such file or directory"),
        ("{t}/tree/one", "{c}:/no-such-dir/", "no such directory"),
        ("{t}/tree", "{c}:/etc/group", "cannot copy a directory to the file"),
        ("{t}/tree/one", "{c}:/etc/group/x", "not a directory"),
        ("{c}:/etc/group/", "{t}/x", "not a directory"),
        ("{t}/tree", "{t}/x", "one path must be CONTAINER:PATH"),
        ("{c}:/etc", "{c}:/x", "between containers is not supported"),
        ("nobody:/etc", "{t}/x", "no such container: nobody"),
    ],
)
def test_what_cannot_be(cli: Cli, container: str, tree: Path, source: str, target: str, words: str) -> None:
    names = {"c": container, "t": str(tree.parent)}
    done = cli("cp", source.format(**names), target.format(**names), check=False)
    assert done.code == 1
    assert words in done.err and done.err.count("\n") == 1


def test_links_in_a_container_lead_nowhere(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """What a container planted: paths through links end in the container."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"host")
    script = f"mkdir -p /d; ln -s {secret} /out; ln -s / /top; ln -s ../../../../../.. /d/up; ln -s {secret}/key /key"
    cli("run", "--network", "none", "--name", "trap", busybox, "sh", "-c", script)
    (tmp_path / "mine").write_bytes(b"mine")
    for path in ("/out/key", "/key"):
        refused = cli("cp", "-L", f"trap:{path}", tmp_path / "stolen", check=False)
        assert refused.code == 1 and not (tmp_path / "stolen").exists()
    assert cli("cp", tmp_path / "mine", "trap:/out/key", check=False).code == 1
    cli("cp", tmp_path / "mine", "trap:/top/etc/mine")
    cli("cp", tmp_path / "mine", "trap:/d/up/up-mine")
    assert {"etc/mine"} <= set(members(cli, "trap:/etc")) and "up-mine" in members(cli, "trap:/up-mine")
    assert (secret / "key").read_bytes() == b"host"
    assert sorted(os.listdir(secret)) == ["key"]
    assert not os.path.exists("/up-mine") and not os.path.exists("/etc/mine")
    cli("cp", "trap:/d", tmp_path / "copied")
    assert os.readlink(tmp_path / "copied" / "up") == "../../../../../.."


def test_links_on_the_way_into_a_host_directory_are_not_followed(cli: Cli, running: str, tmp_path: Path) -> None:
    """A directory of the container has the name of a link in the host's directory."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "etc").symlink_to(tmp_path / "outside")
    refused = cli("cp", f"{running}:/etc", tmp_path / "into", check=False)
    assert refused.code == 1 and "cannot overwrite non-directory" in refused.err
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize("state", ["create", "run"])
def test_a_read_only_container(cli: Cli, busybox: str, tmp_path: Path, state: str) -> None:
    name = f"frozen-{state}"
    flags = ["-d"] if state == "run" else []
    cli(state, *flags, "--network", "none", "--read-only", "-v", f"{name}:/v", "--name", name, busybox, "sleep", "600")
    (tmp_path / "f").write_bytes(b"f")
    refused = cli("cp", tmp_path / "f", f"{name}:/etc/f", check=False)
    assert refused.code == 1 and "read-only" in refused.err.lower()
    cli("cp", tmp_path / "f", f"{name}:/v/f")
    assert "f" in members(cli, f"{name}:/v/f")


def test_a_container_that_starts_meanwhile(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """The copy and the start wait for each other."""
    cli("create", "--network", "none", "--name", "late", busybox, "sleep", "600")
    (tmp_path / "big").write_bytes(os.urandom(8 << 20))
    copies = [cli.popen("cp", "-q", tmp_path / "big", f"late:/tmp/{number}") for number in range(3)]
    cli("start", "late")
    assert [process.wait(timeout=30) for process in copies] == [0, 0, 0]
    assert {f"tmp/{number}" for number in range(3)} <= set(members(cli, "late:/tmp"))


def test_nothing_stays_mounted(cli: Cli, container: str) -> None:
    with open("/proc/self/mounts") as stream:
        assert cli.root not in stream.read()
