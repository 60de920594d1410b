"""Volumes by themselves: cp, export, import, rename, and what a crash leaves of them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.model.paths import Paths
from lxcwrap.store import volumes
from lxcwrap.store.database import Store


@pytest.fixture
def filled(cli: Any, busybox: str) -> str:
    """A volume with a file of another user's."""
    cli("volume", "rm", "-f", "src", "dst")
    script = "echo hello >/v/file; chown 1000:1001 /v/file; ln -s /etc/passwd /v/link"
    cli("run", "--rm", "--network", "none", "-v", "src:/v", busybox, "sh", "-c", script)
    return "src"


def listing(cli: Any, busybox: str, volume: str) -> list[str]:
    words = ("run", "--rm", "--network", "none", "-v", f"{volume}:/v", busybox, "sh", "-c")
    return list(cli(*words, "cd /v; stat -c '%n %u %g %F' *; cat file").lines)


def test_export_and_import(cli: Any, busybox: str, filled: str, tmp_path: Path) -> None:
    cli("volume", "export", "-o", tmp_path / "v.tar", filled)
    names = subprocess.run(["tar", "tf", tmp_path / "v.tar"], capture_output=True, check=True, text=True).stdout
    assert sorted(names.split()) == ["file", "link"]
    assert cli("volume", "import", "--label", "a=b", "dst", tmp_path / "v.tar").out == "dst\n"
    assert listing(cli, busybox, "dst") == listing(cli, busybox, filled)
    assert cli("volume", "ls", "-q", "--filter", "label=a=b").lines == ["dst"]
    taken = cli("volume", "import", "dst", tmp_path / "v.tar", check=False)
    assert (taken.code, "volume dst exists already" in taken.err) == (1, True)


def test_import_from_a_stream_that_is_cut(cli: Any, tmp_path: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        (tmp_path / "big").write_bytes(os.urandom(200_000))
        archive.add(tmp_path / "big", "big")
    refused = cli("volume", "import", "cut", input=whole.getvalue()[:100_000], check=False)
    assert refused.code != 0
    assert len(refused.err.splitlines()) == 1
    assert "cut" not in cli("volume", "ls", "-q").lines
    assert not os.path.exists(Paths(cli.root).volume("cut"))
    assert os.listdir(Paths(cli.root).staging) == []


def test_import_that_climbs_out(cli: Any, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../climbed"))
    refused = cli("volume", "import", "climber", input=stream.getvalue(), check=False)
    assert refused.code != 0
    assert ".." in refused.err
    assert not os.path.exists(f"{cli.root}/volumes/climbed")


def test_copy(cli: Any, filled: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host\n")
    cli("volume", "cp", tmp_path / "in", f"{filled}:/")
    cli("volume", "cp", f"{filled}:/in", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "from the host\n"
    cli("volume", "cp", "-L", f"{filled}:/link", tmp_path / "leads", check=False)
    assert not (tmp_path / "leads").exists(), "the link is followed beneath the volume alone"
    missing = cli("volume", "cp", f"{filled}:/nothing", tmp_path, check=False)
    assert missing.err == "lxcwrap: could not find the file /nothing in volume src\n"
    assert cli("volume", "cp", "nowhere:/x", tmp_path, check=False).err == "lxcwrap: no such volume: nowhere\n"


def test_rename(cli: Any, busybox: str, filled: str) -> None:
    before = listing(cli, busybox, filled)
    cli("create", "--name", "holder", "-v", f"{filled}:/v", busybox)
    refused = cli("volume", "rename", filled, "dst", check=False)
    assert (refused.code, "is in use by container" in refused.err) == (1, True)
    cli("rm", "holder")
    cli("volume", "rename", filled, "dst")
    assert listing(cli, busybox, "dst") == before
    assert filled not in cli("volume", "ls", "-q").lines
    assert not os.path.exists(Paths(cli.root).volume(filled))
    cli("volume", "create", "other")
    assert "exists already" in cli("volume", "rename", "dst", "other", check=False).err


@pytest.mark.parametrize("first", ["src", "dst"])
def test_rename_that_is_cut(
    cli: Any, busybox: str, filled: str, needs: Callable[..., None], tmp_path: Path, first: str
) -> None:
    """Killed once the new name is known and the directory still has the old one; either name may be used first."""
    needs("strace")
    before = listing(cli, busybox, filled)
    kill = ["-e", "trace=rename", "-e", "inject=rename:signal=KILL:when=1"]
    argv = ["strace", "-f", "-q", "-o", str(tmp_path / "log"), *kill, *cli.argv("volume", "rename", filled, "dst")]
    subprocess.run(argv, env=cli.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert "killed by SIGKILL" in (tmp_path / "log").read_text()
    if first == "src":
        cli("volume", "create", "src")  # a new one, which must not take the old one's files away
        assert os.listdir(Paths(cli.root).volume("src")) == []
    assert listing(cli, busybox, "dst") == before
    store = Store(Paths(cli.root))
    assert volumes.get(store, "dst").filled
    assert store.db.execute("SELECT count(*) FROM volumes WHERE moved_from IS NOT NULL").fetchone()[0] == 0
    store.close()


def test_filters(fresh_cli: Any) -> None:
    cli = fresh_cli
    cli("template", "build", "busybox")
    for name, *labels in (("app-1", "a=1", "keep"), ("app-2", "a=2"), ("other",), ("held", "a=1")):
        cli("volume", "create", *(word for label in labels for word in ("--label", label)), name)
    cli("create", "--name", "holder", "--network", "none", "-v", "held:/v", "-v", "/anonymous", "busybox")

    def names(*filters: str) -> list[str]:
        words = [word for text in filters for word in ("--filter", text)]
        return [name for name in cli("volume", "ls", "-q", *words).lines if len(name) < 64]

    assert names("name=app") == ["app-1", "app-2"]
    assert names("name=^app-[2-9]$") == ["app-2"]
    assert names("name=app-1", "name=other") == ["app-1", "other"], "one of the values of one filter"
    assert names("label=a=1") == ["app-1", "held"]
    assert names("label=a", "label=keep") == ["app-1"], "all labels"
    assert names("dangling=true", "label=a") == ["app-1", "app-2"]
    assert names("dangling=0") == ["held"]
    assert names("driver=local", "name=other") == ["other"]
    assert names("driver=nfs") == []
    for wrong in ("name=[", "dangling=perhaps", "colour=red"):
        refused = cli("volume", "ls", "--filter", wrong, check=False)
        assert (refused.code, len(refused.err.splitlines())) == (1, 1), wrong
    assert cli("volume", "prune", "-f").out == "Total reclaimed space: 0B\n", "named ones stay"
    assert "app-2" in cli("volume", "prune", "-f", "-a", "--filter", "label!=keep", "--filter", "label=a").lines
    assert names() == ["app-1", "held", "other"]
    cli("rm", "holder")
    gone = cli("volume", "prune", "-f").lines[1]
    assert len(gone) == 64, "the anonymous one"
    cli("volume", "prune", "-f", "--filter", "all=true")
    assert cli("volume", "ls", "-q").lines == []


def test_owners_are_the_same_with_and_without_user_namespaces(cli: Any, busybox: str) -> None:
    """One volume, four containers at the same time and one afterwards: every id is what each of them expects."""
    place = Path(Paths(cli.root).volume("common"))
    kinds = {"one": "private", "two": "private", "three": "host", "four": "host"}
    for name, userns in kinds.items():
        words = ("--name", name, "--network", "none", "--userns", userns, "-v", "common:/v", busybox, "sleep", "600")
        cli("run", "-d", *words)
    for number, name in enumerate(kinds):
        script = f"mkdir /v/{name}; echo {name} >/v/{name}/file; chown -R {1000 + number}:{2000 + number} /v/{name}"
        cli("exec", name, "sh", "-c", script)
        cli("exec", "-u", f"{1000 + number}", name, "sh", "-c", f"echo by the owner >/v/{name}/own")
    expected = [f"{name}/file {1000 + number} {2000 + number}" for number, name in enumerate(kinds)]
    look = "cd /v; for n in one two three four; do stat -c '%n %u %g' $n/file; done"
    for name in kinds:
        assert cli("exec", name, "sh", "-c", look).lines == expected
        other = cli("exec", "-u", "1003", name, "sh", "-c", "echo x >/v/one/file", check=False)
        assert "Permission denied" in other.err
    assert (place / "one" / "own").stat().st_uid == 1000, "outside the ids are the container's own"
    assert (place / "three" / "own").stat().st_uid == 1002
    cli("rm", "-f", *kinds)
    for userns in ("host", "private"):
        words = ("--userns", userns, "-v", "common:/v", busybox, "sh", "-c")
        assert cli("run", "--rm", "--network", "none", *words, look).lines == expected
