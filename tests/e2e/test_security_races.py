"""Links that a hostile container plants and swaps while the host's root works on its files: they lead nowhere.

The attacker exchanges a directory and a link in a loop (RENAME_EXCHANGE: there is no moment without either).
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EPERM, EACCES, ETXTBSY = 1, 13, 26
LOADER = "/lib64/ld-linux-x86-64.so.2"
ROUNDS = 4
USERS = ["private", "host"]

# --- /proc/self/exe --------------------------------------------------------------------------------------------------

SWAP = (
    "printf '#!/proc/self/exe\\n' >/v/bad; printf '#!/bin/sh\\n' >/v/good; chmod 755 /v/bad /v/good; "
    "while :; do cp -p /v/bad /v/t; mv /v/t /v/evil; cp -p /v/good /v/t; mv /v/t /v/evil; done"
)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the hostile loader is written for x86_64")
@pytest.mark.parametrize("users", USERS)
def test_the_hosts_programs_cannot_be_overwritten(cli: Any, busybox: str, compiled: Path, users: str) -> None:
    """By exec and by start, against an attacker who changes the command between the look at it and its execution."""
    flags = ("--userns", users, "-v", f"swap{users}:/v")
    cli("run", "-d", "--name", "attacker", *flags, busybox, "sh", "-c", SWAP)
    cli("exec", "attacker", "sh", "-c", "mkdir -p /lib64; touch /result; chmod 666 /result")
    cli("cp", compiled / "loader", f"attacker:{LOADER}")
    cli("commit", "attacker", f"hostile{users}")
    for _ in range(ROUNDS):
        cli("exec", "attacker", "/v/evil", check=False)
    subprocess.run(["sleep", "1"], check=True)
    results = cli("exec", "attacker", "cat", "/result").lines
    for number in range(ROUNDS // 2):
        cli("run", "--name", f"victim{number}", *flags, f"hostile{users}", "/v/evil", check=False)
        results.append(cli("cp", f"victim{number}:/result", "-", check=False).out)
        cli("rm", "-f", f"victim{number}")
    cli("rm", "-f", "attacker")
    for link, opened, written in re.findall(r"(/[\w.:/-]+(?: \(deleted\))?) (\d{3}) (\d{3})", "\n".join(results)):
        if users == "private":
            assert int(opened) == EACCES, (link, opened, written)
        else:
            assert link.startswith("/memfd:"), "a sealed copy"
            assert int(opened) in (ETXTBSY, EACCES) or int(written) == EPERM, (link, opened, written)


@pytest.mark.parametrize("users", USERS)
def test_an_interpreter_that_leads_out_is_refused(cli: Any, busybox: str, users: str) -> None:
    cli("run", "-d", "--name", "leader", "--userns", users, busybox, "sleep", "60")
    cli("exec", "leader", "sh", "-c", "printf '#!/proc/self/exe\\n' >/out; ln -sf /proc/self/exe /way; chmod 755 /out")
    for command in ("/out", "/way", "/proc/self/exe", "/proc/1/root/bin/true"):
        result = cli("exec", "leader", command, check=False)
        assert result.code in (126, 127), command
    cli("rm", "-f", "leader")


# --- working directories ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("users", USERS)
def test_no_working_directory_is_the_hosts(cli: Any, busybox: str, users: str) -> None:
    """Whoever starts a container's process has the host's directories open: /proc/self/fd leads to them (the class of
    CVE-2024-21626).  By name, by a link in the image, by a link that a run before left."""
    marker = Path("/etc/hostname").read_text()
    script = "for up in . .. ../.. ../../.. ../../../..; do cat $up/etc/hostname 2>/dev/null; done; ls ../../.. . 2>&1"
    cli("run", "-d", "--name", "waiting", "--userns", users, busybox, "sleep", "600")
    roots = set(os.listdir("/")) - {"bin", "dev", "etc", "home", "lib", "lib64", "mnt", "opt", "proc", "root", "run",
                                    "sbin", "srv", "sys", "tmp", "usr", "var"}  # fmt: skip
    for number in range(3, 28, 2 if users == "host" else 1):
        path = f"/proc/self/fd/{number}"
        cli("exec", "waiting", "ln", "-sfn", path, "/planted")
        for result in (
            cli("run", "--rm", "--userns", users, "-w", path, busybox, "sh", "-c", script, check=False),
            cli("exec", "-w", path, "waiting", "sh", "-c", script, check=False),
            cli("exec", "-w", "/planted", "waiting", "sh", "-c", script, check=False),
        ):
            assert marker not in result.out and not roots & set(result.out.split()), (path, result.out)
            assert "lxc.monitor" not in result.out and "cgroup.procs" not in result.out
    cli("rm", "-f", "waiting")


@pytest.mark.parametrize("users", USERS)
def test_nor_after_a_restart(cli: Any, busybox: str, users: str) -> None:
    """The first run leaves a link where its working directory was; the policy starts it again."""
    script = (
        "if test -e /again; then ls -a . ../../..; exec sleep 60; fi; touch /again; cd /; rmdir /work; "
        "n=7; ln -s /proc/self/fd/$n /work; exit 1"
    )
    cli("run", "-d", "--name", "comes-back", "--userns", users, "-w", "/work", "--restart", "on-failure:2", busybox,
        "sh", "-c", script)  # fmt: skip
    subprocess.run(["sleep", "2"], check=True)
    shown = cli("logs", "comes-back")
    cli("rm", "-f", "comes-back")
    assert "cgroup" not in shown.out and "systemd" not in shown.out and "lost+found" not in shown.out


@pytest.mark.parametrize("users", USERS)
def test_a_working_directory_in_a_volume_belongs_to_the_user(cli: Any, busybox: str, users: str) -> None:
    flags = ("--userns", users, "-u", "10:20", "-v", f"homes{users}:/v", "-w", "/v/new/inner")
    shown = cli("run", "--rm", *flags, busybox, "sh", "-c", "pwd; stat -c %u:%g .; touch mine")
    assert shown.lines == ["/v/new/inner", "10:20"]


# --- links that an attacker swaps ------------------------------------------------------------------------------------


@pytest.fixture
def trap() -> Iterator[Path]:
    """A folder of the host's that anyone may write to: nothing in it may be read, changed or made."""
    place = Path("/var/tmp") / f"lxcwrap-trap-{os.getpid()}"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    (place / "secret").write_text("the host's")
    (place / "passwd").write_text("root:x:0:0::/:/bin/sh\nhostuser:x:4321:4321::/:/bin/sh\n")
    (place / "group").write_text("hostgroup:x:4322:\n")
    (place / "inner").mkdir()
    before = state(place)
    yield place
    after = state(place)
    subprocess.run(["rm", "-rf", place], check=True)
    assert after == before, "the host's files are as they were"


def state(place: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in sorted([place, *place.rglob("*")]):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture(params=USERS)
def racer(request: pytest.FixtureRequest, cli: Any, busybox: str, trap: Path, compiled: Path) -> Iterator[str]:
    """A container in which /swap and /v/sub are now a folder, now a link to the host's, and /file likewise."""
    name, volume = f"racer-{request.param}", f"raced-{request.param}"
    script = (
        f"mkdir -p /swap/inner; echo mine >/swap/secret; ln -s {trap} /link; "
        f"echo mine >/file; ln -s {trap}/secret /filelink; ln -s / /up; "
        f"mkdir -p /v/sub/inner; echo mine >/v/sub/secret; ln -s {trap} /v/link; "
        f"cp /etc/passwd /etc/group /tmp; ln -s {trap}/passwd /tmp/p; ln -s {trap}/group /tmp/g; "
        "exec /swap-names /swap /link /file /filelink /v/sub /v/link /etc/passwd /tmp/p /etc/group /tmp/g"
    )
    flags = ("--userns", request.param, "-v", f"{volume}:/v", "-v", f"{compiled}/swap:/swap-names:ro")
    cli("run", "-d", "--name", name, *flags, busybox, "sh", "-c", script)
    cli("exec", name, "sh", "-c", "while ! pidof swap-names; do usleep 10000; done")
    yield name
    at_it = cli("inspect", "-f", "{{.State.Running}}", name).out
    cli("rm", "-f", name)
    assert at_it == "true\n", "the attacker was at it all the time"


def volume_of(name: str) -> str:
    return name.replace("racer", "raced")


def users_of(name: str) -> tuple[str, str]:
    return "--userns", name.partition("-")[2]


def one_line(result: Any) -> None:
    """It did what it was asked or says in a line why not."""
    assert result.code == 0 or (len(result.err.splitlines()) <= 2 and "Traceback" not in result.err), result.err


def test_cp_into(cli: Any, racer: str, tmp_path: Path) -> None:
    (tmp_path / "planted").write_text("planted")
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "inner" / "planted").write_text("planted")
    for number in range(ROUNDS):
        for source, target in (
            ("planted", f"/swap/planted{number}"), ("planted", "/file"), ("planted", "/swap/inner/x"),
            ("tree", "/swap"), ("tree/.", "/swap"), ("tree", "/v/sub"), ("planted", "/filelink"),
        ):  # fmt: skip
            one_line(cli("cp", f"{tmp_path}/{source}", f"{racer}:{target}", check=False))
        one_line(cli("cp", "-a", f"{tmp_path}/tree", f"{racer}:/swap/inner", check=False))


def test_cp_out_of(cli: Any, racer: str, trap: Path, tmp_path: Path) -> None:
    for number in range(ROUNDS):
        for path in ("/swap/secret", "/swap", "/swap/.", "/file", "/v/sub", f"/up/{trap}/secret"):
            for flags in ([], ["-L"]):
                result = cli("cp", *flags, f"{racer}:{path}", "-", check=False)
                one_line(result)
                assert "the host's" not in result.out, path
        one_line(cli("cp", f"{racer}:/swap", tmp_path / f"copy{number}", check=False))
    found = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert all(path.read_text() != "the host's" for path in found)


def test_cp_of_a_volume(cli: Any, racer: str, tmp_path: Path) -> None:
    (tmp_path / "planted").write_text("planted")
    for _ in range(ROUNDS):
        one_line(cli("volume", "cp", tmp_path / "planted", f"{volume_of(racer)}:/sub/inner/x", check=False))
        result = cli("volume", "cp", f"{volume_of(racer)}:/sub/secret", "-", check=False)
        one_line(result)
        assert "the host's" not in result.out


def test_exec_in_a_directory(cli: Any, racer: str, trap: Path) -> None:
    for number in range(ROUNDS):
        script = f"touch here{number}; cat secret ../{trap.name}/secret"
        result = cli("exec", "-w", "/swap", racer, "sh", "-c", script, check=False)
        assert "the host's" not in result.out


def test_users_are_looked_up_inside(cli: Any, racer: str) -> None:
    for _ in range(ROUNDS):
        for who in ("hostuser", "root:hostgroup"):
            result = cli("exec", "-u", who, racer, "id", check=False)
            assert result.code == 126 and "432" not in result.out


def test_the_next_start_looks_inside_too(cli: Any, busybox: str, racer: str, trap: Path) -> None:
    """The link stays behind in the container's own files, where the host reads them before there is a process."""
    cli("exec", racer, "sh", "-c", f"ln -sf {trap}/passwd /root/p; ln -sf {trap}/group /root/g")
    cli("create", "--name", "next", *users_of(racer), "-u", "hostuser", busybox, "id")
    for name in ("passwd", "group"):
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, f"{trap}/{name}"
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.addfile(link)
        cli("cp", "-", "next:/etc", input=content.getvalue())
    result = cli("start", "-a", "next", check=False)
    cli("rm", "-f", "next")
    assert result.code != 0 and "unable to find user hostuser" in result.err


def test_volumes_on_volumes(cli: Any, busybox: str, racer: str) -> None:
    """Mount points are made where the attacker may have put a link; a new volume is filled from there."""
    volume = volume_of(racer)
    for number in range(ROUNDS):
        for target in ("/v/sub/made", "/v/sub/inner", "/v/sub"):
            new = f"new{number}{target.replace('/', '-')}{volume}"
            result = cli("run", "--rm", *users_of(racer), "-v", f"{volume}:/v", "-v", f"{new}:{target}", busybox, "sh",
                         "-c", f"touch {target}/x{number}; cat {target}/secret", check=False)  # fmt: skip
            assert "the host's" not in result.out
            cli("volume", "rm", "-f", new)


def test_volumes_on_volumes_below_dev(cli: Any, busybox: str, racer: str) -> None:
    """What goes below /dev is liblxc's to mount, by paths: it gets to see no volume's links."""
    volume = volume_of(racer)
    for number in range(ROUNDS // 2):
        flags = ("-v", f"{volume}:/dev/v", "-v", f"below:/dev/v/sub/made{number}", "--tmpfs", f"/dev/v/sub/t{number}")
        result = cli("run", "--rm", *users_of(racer), *flags, busybox, "cat", "/dev/v/sub/secret", check=False)
        assert "the host's" not in result.out


def test_a_part_of_a_volume(cli: Any, busybox: str, racer: str) -> None:
    volume = volume_of(racer)
    for number in range(ROUNDS):
        for part in ("sub", "sub/inner", "link"):
            wanted = f"type=volume,src={volume},dst=/x,volume-subpath={part}"
            result = cli("run", "--rm", *users_of(racer), "--mount", wanted, busybox, "sh", "-c",
                         f"touch /x/x{number}; cat /x/secret", check=False)  # fmt: skip
            assert "the host's" not in result.out


def test_a_working_directory_in_a_volume(cli: Any, busybox: str, racer: str) -> None:
    volume = volume_of(racer)
    for number in range(ROUNDS):
        result = cli("run", "--rm", *users_of(racer), "-v", f"{volume}:/v", "-w", f"/v/sub/work{number}", busybox, "sh",
                     "-c", "touch x; cat ../secret", check=False)  # fmt: skip
        assert "the host's" not in result.out


def test_export_commit_and_diff(cli: Any, racer: str, tmp_path: Path) -> None:
    for number in range(ROUNDS // 2):
        result = cli("export", "-o", tmp_path / "tar", racer, check=False)
        one_line(result)
        if result.code == 0:
            with tarfile.open(tmp_path / "tar") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() else None
                    assert content is None or content.read() != b"the host's", member.name
        for flags in (["--pause=false"], []):
            result = cli("commit", *flags, racer, f"taken{number}", check=False)
            one_line(result)
            if result.code == 0:
                cli("save", "-o", tmp_path / "image", f"taken{number}")
                assert b"the host's" not in (tmp_path / "image").read_bytes()
        shown = cli("diff", racer, check=False)
        one_line(shown)
        assert "hostuser" not in shown.out and not any(line.endswith("/swap/passwd") for line in shown.lines)


def test_logs_and_own_files(cli: Any, busybox: str, trap: Path) -> None:
    """What is mounted for a container are files of its own; links in their place change nothing on the host."""
    cli("run", "-d", "--name", "writer", "--log-opt", "max-size=4k", "--log-opt", "max-file=2", busybox, "sh", "-c",
        "while :; do echo line; usleep 2000; done")  # fmt: skip
    cli("exec", "writer", "sh", "-c", f"rm -f /etc/hosts /etc/hostname; ln -s {trap}/secret /etc/hosts", check=False)
    cli("restart", "-t", "0", "writer")
    cli("logs", "writer")
    cli("rename", "writer", "author")
    cli("rm", "-f", "author")


@pytest.mark.parametrize("users", USERS)
@pytest.mark.parametrize("name", ["dev", "proc", "sys", "etc"])
def test_links_in_an_image_where_file_systems_go(
    cli: Any, busybox: str, trap: Path, tmp_path: Path, users: str, name: str
) -> None:
    cli("create", "--name", "plain", busybox)
    cli("export", "-o", tmp_path / "tar", "plain")
    cli("rm", "plain")
    with tarfile.open(tmp_path / "tar") as old, tarfile.open(tmp_path / "new", "w") as new:
        for member in old:
            if member.name.strip("/").split("/")[0] != name:
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
        for made in (str(trap).lstrip("/"), str(trap.parent).lstrip("/")):
            folder = tarfile.TarInfo(made)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            new.addfile(folder)
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, str(trap)
        new.addfile(link)
    cli("import", tmp_path / "new", f"linked-{name}-{users}")
    result = cli("run", "--rm", "--userns", users, f"linked-{name}-{users}", "cat", f"/{name}/secret", check=False)
    assert result.code != 0 and "the host's" not in result.out


def test_a_deep_tree_fills_a_volume(cli: Any, busybox: str) -> None:
    """An image may nest directories deeper than a program's stack."""
    script = "mkdir /deep; cd /deep; n=0; while [ $n -lt 1500 ]; do mkdir d; cd d; n=$((n+1)); done; echo end >f"
    cli("run", "--name", "digger", busybox, "sh", "-c", script)
    cli("commit", "digger", "deep")
    cli("rm", "digger")
    shown = cli("run", "--rm", "-v", "filled:/deep", "deep", "sh", "-c", "find /deep -name f | wc -c")
    cli("volume", "rm", "filled")
    cli("rmi", "deep")
    assert int(shown.out) > 3000
