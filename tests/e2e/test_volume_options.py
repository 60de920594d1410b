"""Volumes that are a directory of the host, memory, or a file system of their own: ``volume create -o``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def look(cli: Any, busybox: str, mount: str, script: str, *more: str, check: bool = True) -> Any:
    return cli("run", "--rm", "--network", "none", *more, "-v", mount, busybox, "sh", "-c", script, check=check)


@pytest.mark.parametrize(
    "words", [("-o", "type=none,o=bind,device={}"), ("-o", "type=none", "-o", "o=bind", "-o", "device={}")]
)
def test_a_directory_of_the_host(cli: Any, busybox: str, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("of the host\n")
    cli("volume", "create", *(word.format(tmp_path) for word in words), "bound")
    assert look(cli, busybox, "bound:/v", "cat /v/file; echo x >/v/new").out == "of the host\n"
    assert (tmp_path / "new").stat().st_uid == 0
    cli("create", "--name", "exposed", "-v", "bound:/v", busybox)
    assert f"{tmp_path} at /v" in cli("security", "exposed").out, "it is the host's"
    cli("rm", "exposed")
    assert cli("volume", "inspect", "-f", "{{.Mountpoint}} {{.Options.o}}", "bound").out == f"{tmp_path} bind\n"
    assert (
        "file"
        in subprocess.run(
            ["tar", "t"], input=cli("volume", "export", "bound").out.encode(), capture_output=True
        ).stdout.decode()
    )
    cli("volume", "rm", "bound")
    assert (tmp_path / "file").exists(), "only the volume went"


def test_words_of_a_bind(cli: Any, busybox: str, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", below], check=True)
    try:
        (below / "inner").touch()
        cli("volume", "create", "-o", f"o=bind,ro,noexec,device={tmp_path}", "alone")
        cli("volume", "create", "-o", f"o=rbind,device={tmp_path}", "whole")
        script = "ls /v/below; touch /v/x; grep -c ' /v .* ro,noexec' /proc/mounts"
        alone = look(cli, busybox, "alone:/v", script, check=False)
        assert (alone.out, "Read-only file system" in alone.err) == ("1\n", True)
        assert look(cli, busybox, "whole:/v", "ls /v/below").out == "inner\n"
    finally:
        subprocess.run(["umount", below], check=True)


def test_a_directory_that_is_missing(cli: Any, busybox: str, tmp_path: Path) -> None:
    cli("volume", "create", "-o", f"o=bind,device={tmp_path}/no", "nowhere")
    refused = look(cli, busybox, "nowhere:/v", "true", check=False)
    assert refused.code == 125
    assert f"volume nowhere: {tmp_path}/no is no directory of this host" in refused.err


def test_memory_is_shared_while_somebody_has_it(cli: Any, busybox: str) -> None:
    cli("volume", "create", "-o", "type=tmpfs,o=size=1m,mode=1770,uid=5", "memory")
    run = ("run", "-d", "--network", "none", "-v", "memory:/v")
    cli(*run, "--name", "first", busybox, "sleep", "600")
    script = "echo hello >/v/file; df -k /v | tail -n 1 | awk '{print $2}'; stat -c '%a %u' /v"
    assert cli("exec", "first", "sh", "-c", script).lines == ["1024", "1770 5"]
    cli(*run, "--name", "second", "--userns", "host", busybox, "sleep", "600")
    assert cli("exec", "second", "cat", "/v/file").out == "hello\n"
    cli("rm", "-f", "first")
    assert cli("exec", "second", "cat", "/v/file").out == "hello\n", "it goes with the last one only"
    assert look(cli, busybox, "memory:/v", "cat /v/file; echo more >/v/more").out == "hello\n"
    cli("volume", "cp", "memory:/more", "-")
    cli("rm", "-f", "second")
    assert look(cli, busybox, "memory:/v", "ls /v").out == ""
    empty = cli("volume", "export", "memory", check=False)
    assert (empty.code, "is in memory" in empty.err) == (1, True)


def test_memory_is_filled_from_the_image_each_time(cli: Any, busybox: str) -> None:
    cli("volume", "create", "-o", "type=tmpfs", "each")
    for _ in range(2):
        assert "passwd" in look(cli, busybox, "each:/etc", "ls /etc; rm /etc/passwd").lines


@pytest.fixture
def device(tmp_path: Path, needs: Callable[..., None], missing: Callable[[str], None]) -> Iterator[str]:
    """A block device with an ext4 on it."""
    needs("mkfs.ext4", "losetup")
    file = tmp_path / "disk"
    with open(file, "wb") as stream:
        stream.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", file], check=True)
    done = subprocess.run(["losetup", "--show", "-f", file], capture_output=True, text=True)
    if done.returncode:
        missing(f"no loop devices: {done.stderr.strip()}")
    yield done.stdout.strip()
    subprocess.run(["losetup", "-d", done.stdout.strip()], check=True)


def test_a_block_device(cli: Any, busybox: str, device: str, tmp_path: Path) -> None:
    cli("volume", "create", "-o", "type=ext4", "-o", f"device={device}", "-o", "o=noatime", "disk")
    script = "touch /v/file; chown 1000 /v/file; stat -c %u /v/file; grep ' /v ' /proc/mounts"
    seen = look(cli, busybox, "disk:/v", script).lines
    assert seen[0] == "1000"
    assert seen[1].startswith(f"{device} /v ext4 rw,noatime")
    (tmp_path / "more").write_text("x\n")
    cli("volume", "cp", tmp_path / "more", "disk:/")
    kept = look(cli, busybox, "disk:/v:ro", "stat -c %u /v/file; cat /v/more; touch /v/no", check=False)
    assert (kept.out, "Read-only" in kept.err) == ("1000\nx\n", True)
    assert device not in Path("/proc/self/mountinfo").read_text(), "the host sees no mount"
    cli("volume", "rm", "disk")


def test_what_cannot_be_mounted(cli: Any, busybox: str) -> None:
    unknown = cli("volume", "create", "-o", "type=nosuchfs,device=x", "bad", check=False)
    assert (unknown.code, "this kernel has no such file system" in unknown.err) == (1, True)
    size = cli("volume", "create", "-o", "size=3g", "bad", check=False)
    assert (size.code, "'size' is not supported" in size.err) == (1, True)
    assert "bad" not in cli("volume", "ls", "-q").lines
    cli("volume", "create", "-o", "type=tmpfs,o=nonsense=1", "bad")
    refused = look(cli, busybox, "bad:/v", "true", check=False)
    assert (refused.code, len(refused.err.splitlines())) == (125, 1)
    assert "volume bad (tmpfs tmpfs) at /v: Invalid argument" in refused.err
    other = cli("volume", "create", "-o", "type=tmpfs", "bad", check=False)
    assert (other.code, "exists already, with other options" in other.err) == (1, True)
    assert cli("volume", "create", "bad").out == "bad\n"


def test_volumes_made_by_mount(cli: Any, busybox: str) -> None:
    fields = 'src=made,dst=/v,volume-label=a=b,volume-opt=type=tmpfs,"volume-opt=o=size=2m,mode=700"'
    words = ("run", "--rm", "--network", "none", "--mount", fields, busybox, "sh", "-c", "df -k /v; stat -c %a /v")
    seen = cli(*words).lines
    assert (seen[1].split()[1], seen[2]) == ("2048", "700")
    assert cli("volume", "ls", "-q", "--filter", "label=a=b").lines == ["made"]
    assert cli("volume", "inspect", "-f", "{{.Options.type}}", "made").out == "tmpfs\n"


def test_files_of_a_container_that_does_not_run(cli: Any, busybox: str, device: str, tmp_path: Path) -> None:
    """``cp`` sees its file systems, and says what cannot be mounted."""
    cli("volume", "create", "-o", f"type=ext4,device={device}", "still")
    cli("volume", "create", "-o", "type=tmpfs", "away")
    cli("create", "--name", "stopped", "--network", "none", "-v", "still:/v", "-v", "away:/m", busybox)
    (tmp_path / "file").write_text("kept\n")
    cli("cp", tmp_path / "file", "stopped:/v/")
    assert look(cli, busybox, "still:/v", "cat /v/file").out == "kept\n"
    cli("create", "--name", "wrong", "--mount", "src=still,dst=/v,volume-subpath=no", busybox)
    refused = cli("cp", "wrong:/etc/passwd", "-", check=False)
    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert f"cannot mount volume still (ext4 {device})/no at /v: No such file or directory" in refused.err
    cli("rm", "stopped", "wrong")
