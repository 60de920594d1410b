"""Mounts in containers, as the kernel shows them: --mount, propagation, subpaths, mounts below /dev."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that passes on what is mounted below it."""
    place = tmp_path / "shared"
    (place / "below").mkdir(parents=True)
    subprocess.run(["mount", "--bind", place, place], check=True)
    subprocess.run(["mount", "--make-shared", place], check=True)
    yield place
    subprocess.run(["umount", "-R", "-l", place], check=True)


def test_mounts_of_the_long_form(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    words = ["--mount", f"type=bind,src={tmp_path},dst=/bound,ro", "--mount", "type=tmpfs,dst=/mem,tmpfs-size=1m"]
    words += ["--mount", "src=data,dst=/data"]
    script = (
        "cat /bound/file; touch /bound/x 2>/dev/null || echo refused; echo kept >/data/kept; df -k /mem | tail -n 1"
    )
    said = cli("run", "--rm", "--network", "none", *words, busybox, "sh", "-c", script).lines
    assert said[:2] == ["of the host", "refused"]
    assert said[2].split()[1] == "1024"
    assert cli("run", "--rm", "-v", "data:/data", busybox, "cat", "/data/kept").out == "kept\n"


def test_a_missing_source_is_made_by_v_alone(cli: Any, busybox: str, tmp_path: Path) -> None:
    words = ("run", "--rm", "--network", "none", "--mount", f"type=bind,src={tmp_path}/no,dst=/x", busybox, "true")
    refused = cli(*words, check=False)
    assert refused.code == 125
    assert f"bind source path does not exist: {tmp_path}/no" in refused.err
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("target", ["/seen", "/dev/seen"])
def test_later_mounts_of_the_host_stay_outside(cli: Any, busybox: str, shared: Path, target: str) -> None:
    cli("run", "-d", "--name", "apart", "-v", f"{shared}:{target}", busybox, "sleep", "600")
    cli("run", "-d", "--name", "follows", "-v", f"{shared}:{target}:rslave", busybox, "sleep", "600")
    subprocess.run(["mount", "-t", "tmpfs", "none", shared / "below"], check=True)
    (shared / "below" / "file").touch()
    assert cli("exec", "apart", "ls", f"{target}/below").out == ""
    assert cli("exec", "follows", "ls", f"{target}/below").out == "file\n"
    cli("rm", "-f", "apart", "follows")


@pytest.mark.parametrize("target", ["/seen", "/dev/seen"])
def test_propagation(cli: Any, busybox: str, shared: Path, target: str) -> None:
    """What follows the host: the mount itself, what is mounted below it, both, or neither."""
    below = shared / "below"
    subprocess.run(["mount", "-t", "tmpfs", "none", below], check=True)
    subprocess.run(["mount", "--make-shared", below], check=True)
    (below / "deep").mkdir()
    (shared / "beside").mkdir()
    seen = {}
    words = ("private", "rprivate", "slave", "rslave")
    for word in words:
        bind = ("--mount", f"type=bind,src={shared},dst={target},bind-propagation={word}")
        cli("run", "-d", "--name", word, "--network", "none", *bind, busybox, "sleep", "600")
    for place in (shared / "beside", below / "deep"):
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        (place / "late").touch()
    for word in words:
        seen[word] = cli("exec", word, "sh", "-c", f"cd {target}; ls beside below/deep | grep -c late", check=False).out
    assert seen == {"private": "1\n", "rprivate": "0\n", "slave": "2\n", "rslave": "2\n"}
    cli("rm", "-f", *words)


def test_following_what_passes_nothing_on(cli: Any, busybox: str, shared: Path) -> None:
    subprocess.run(["mount", "--make-private", shared], check=True)
    refused = cli("run", "--rm", "-v", f"{shared}:/x:rslave", busybox, "true", check=False)
    assert (refused.code, f"the mount at {shared} passes nothing on" in refused.err) == (125, True)


@pytest.mark.parametrize("userns", ["private", "host"])
@pytest.mark.parametrize("target", ["/seen", "/dev/seen"])
def test_what_is_mounted_below(cli: Any, busybox: str, shared: Path, target: str, userns: str) -> None:
    """Comes along or not, read-only or not: as ``bind-recursive`` says."""
    subprocess.run(["mount", "-t", "tmpfs", "none", shared / "below"], check=True)
    (shared / "below" / "inner").touch()

    def writes(fields: str) -> list[str]:
        script = f"cd {target}; for f in top below/new; do touch $f 2>/dev/null && echo $f; done; ls below"
        mount = ("--mount", f"type=bind,src={shared},dst={target}{fields}")
        words = ("run", "--rm", "--network", "none", "--userns", userns, *mount, busybox, "sh", "-c", script)
        return list(cli(*words).lines)

    assert writes(",ro") == writes(",ro,bind-recursive=readonly") == ["inner"]
    assert writes(",ro,bind-recursive=disabled") == writes(",ro,bind-nonrecursive") == []
    assert writes(",ro,bind-recursive=writable") == ["below/new", "inner", "new"]
    assert writes("") == writes(",bind-recursive=enabled") == ["top", "below/new", "inner", "new"]


def test_a_missing_source_that_may_be_made(cli: Any, busybox: str, tmp_path: Path) -> None:
    fields = f"type=bind,src={tmp_path}/a/b,dst=/x,bind-create-src"
    cli("run", "--rm", "--network", "none", "--mount", fields, busybox, "touch", "/x/y")
    assert (tmp_path / "a" / "b" / "y").exists()


def test_memory(cli: Any, busybox: str) -> None:
    script = (
        "stat -c %a /m /n; touch /n/x 2>/dev/null || echo refused; grep -c ' /m .*nosuid,nodev,noexec' /proc/mounts"
    )
    words = ("--mount", "type=tmpfs,dst=/m,tmpfs-mode=1750,consistency=cached", "--mount", "type=tmpfs,dst=/n,ro")
    said = cli("run", "--rm", "--network", "none", *words, busybox, "sh", "-c", script).lines
    assert said == ["1750", "1777", "refused", "1"]


def test_words_that_ask_for_nothing_here(cli: Any, busybox: str, tmp_path: Path) -> None:
    for word in ("z", "Z", "cached", "delegated", "consistent", "z,ro"):
        cli("run", "--rm", "--network", "none", "-v", f"{tmp_path}:/x:{word}", busybox, "true")


def test_nocopy(cli: Any, busybox: str) -> None:
    for words in (("-v", "bare:/etc:nocopy"), ("--mount", "src=bare2,dst=/etc,volume-nocopy")):
        assert "passwd" not in cli("run", "--rm", "--network", "none", *words, busybox, "ls", "/etc").lines


def test_mounts_below_dev_belong_to_the_container(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    words = ("-v", f"{tmp_path}:/dev/bound", "-v", "late:/dev/volume", "-v", f"{tmp_path}/file:/dev/file:ro")
    script = "touch /dev/bound/made /dev/volume/made; stat -c %u /dev/bound /dev/file; echo y >/dev/file"
    done = cli("run", "--rm", "--network", "none", *words, busybox, "sh", "-c", script, check=False)
    assert done.out == "0\n0\n"
    assert "Read-only file system" in done.err
    assert (tmp_path / "made").stat().st_uid == 0
    assert cli("run", "--rm", "-v", "late:/v", busybox, "ls", "/v").out == "made\n"


def test_subpath_of_a_volume(cli: Any, busybox: str) -> None:
    cli("run", "--rm", "-v", "tree:/t", busybox, "sh", "-c", "mkdir -p /t/a/b; echo inner >/t/a/b/file; ln -s / /t/out")
    inner = "src=tree,dst=/m,volume-subpath=a/b"
    assert cli("run", "--rm", "--mount", inner, busybox, "cat", "/m/file").out == "inner\n"
    outside = cli("run", "--rm", "--mount", "src=tree,dst=/m,volume-subpath=out", busybox, "ls", "/m").lines
    assert sorted(outside) == ["a", "out"], "the link leads to the volume's own root"
    missing = cli("run", "--rm", "--mount", "src=tree,dst=/m,volume-subpath=no", busybox, "true", check=False)
    assert missing.code == 125
    assert "/tree/no at /m: No such file or directory" in missing.err


def test_subpath_that_changes_while_it_is_mounted(cli: Any, busybox: str, root: str) -> None:
    """Whoever writes the volume swaps the directory for a link to the host, as fast as it can."""
    volume = Path(root, "volumes", "swapped")
    cli("volume", "create", "swapped")
    (volume / "a").mkdir()
    (volume / "evil").symlink_to("/etc")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            os.rename(volume / "a", volume / "b")
            os.rename(volume / "evil", volume / "a")
            os.rename(volume / "a", volume / "evil")
            os.rename(volume / "b", volume / "a")

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        words = (
            "run",
            "--rm",
            "--network",
            "none",
            "--mount",
            "src=swapped,dst=/m,volume-subpath=a",
            busybox,
            "ls",
            "/m",
        )
        seen = [cli(*words, check=False).out for _ in range(15)]
    finally:
        done.set()
        attacker.join()
    assert "passwd" not in "".join(seen)


def test_volumes_from(cli: Any, busybox: str, tmp_path: Path) -> None:
    cli("create", "--name", "holder", "-v", "held:/held", "-v", f"{tmp_path}:/bound", busybox, "true")
    cli("run", "--rm", "--volumes-from", "holder", busybox, "sh", "-c", "echo 1 >/held/x; echo 2 >/bound/y")
    assert (tmp_path / "y").read_text() == "2\n"
    done = cli(
        "run", "--rm", "--volumes-from", "holder:ro", busybox, "sh", "-c", "cat /held/x; touch /held/z", check=False
    )
    assert (done.code, done.out) == (1, "1\n")
    own = cli("run", "--rm", "--volumes-from", "holder", "--tmpfs", "/held", busybox, "ls", "/held")
    assert own.out == "", "what is asked for by itself wins"
    cli("rm", "holder")
