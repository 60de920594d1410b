"""What a user, a host or an archive can do wrong: one clear line, the right exit code, nothing half-made.

Registries that fail are in ``test_registry_bad``, full disks in ``test_full_disk``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import sqlite3
import struct
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.model.paths import Paths
from tests.conftest import Cli, Result, free_port
from tests.unit.tars import member, tar

_FSOPEN = 430  # on every architecture


def everything(cli: Cli) -> dict[str, object]:
    """All that a command can leave behind: records, folders, mounts, interfaces, firewall rules."""
    paths = Paths(cli.root)
    with sqlite3.connect(f"file:{paths.database}?mode=ro", uri=True) as db:
        tables = ("containers", "images", "image_references", "layers", "volumes", "leases", "published_ports")
        rows = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    folders = {name: contents(f"{cli.root}/{name}") for name in ("containers", "layers", "tmp", "volumes")}
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if cli.root in line]
    bridge = f"/sys/class/net/{paths.bridge}/brif"
    rules = subprocess.run(["nft", "list", "table", "inet", paths.nft_table], capture_output=True, check=False).stdout
    return {
        "rows": rows,
        "folders": folders,
        "mounts": mounts,
        "interfaces": os.listdir(bridge) if os.path.isdir(bridge) else [],
        "rules": re.sub(rb"packets \d+ bytes \d+", b"", rules),
    }


def contents(directory: str) -> list[str]:
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


@contextmanager
def nothing_left(cli: Cli) -> Iterator[None]:
    before = everything(cli)
    yield
    assert everything(cli) == before


def refused(result: Result, code: int, said: str) -> None:
    assert result.code == code and said in result.err, result
    assert result.err.count("\n") == 1 and result.err.startswith("lxcwrap: "), "one clear line"
    assert result.out in ("", "[]\n")


@pytest.fixture(scope="module")
def taken(cli: Cli, busybox: str) -> str:
    """The host port that the running container ``taken`` holds."""
    port = free_port()
    cli("run", "-d", "--name", "taken", "-p", f"{port}:80", busybox, "sleep", "600")
    return str(port)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "--pull", "never", "nosuch:1", "true"], 125, "no such image: nosuch:1"),
        (["create", "--pull", "never", "nosuch", "true"], 125, "no such image: nosuch"),
        (["rmi", "nosuch"], 1, "no such image: nosuch"),
        (["tag", "nosuch", "x"], 1, "no such image: nosuch"),
        (["history", "nosuch"], 1, "no such image: nosuch"),
        (["save", "-o", "/dev/null", "nosuch"], 1, "no such image: nosuch"),
        *(
            ([verb, "nobody"], 1, "no such container: nobody")
            for verb in ("start", "stop", "restart", "kill", "rm", "logs", "attach", "wait", "pause", "unpause", "top",
                         "port", "diff", "export", "commit")
        ),
        (["exec", "nobody", "true"], 1, "no such container: nobody"),
        (["cp", "nobody:/etc", "/tmp"], 1, "no such container: nobody"),
        (["rename", "nobody", "x"], 1, "no such container: nobody"),
        (["stats", "--no-stream", "nobody"], 1, "no such container: nobody"),
        (["inspect", "nobody"], 1, "no such object: nobody"),
        (["run", "--network", "container:nobody", "busybox", "true"], 125, "no such container: nobody"),
        (["run", "--name", "taken", "busybox", "true"], 125, "the container name 'taken' is in use by container"),
        (["create", "--name", "taken", "busybox", "true"], 125, "the container name 'taken' is in use by container"),
        (["rename", "taken", "taken"], 1, "has this name already"),
        (["rename", "taken", "a/b"], 1, "container name 'a/b' is not allowed"),
        (["volume", "create", "a/b"], 1, "volume name 'a/b' is not allowed"),
        (["logs", "--since", "soon", "taken"], 1, "--since: time: 'soon' is not a duration"),
        (["container", "prune", "-f", "--filter", "until=soon"], 1, "'soon' is not a duration"),
        (["rm", "taken"], 1, "container taken is running"),
    ],
)  # fmt: skip
def test_missing_and_taken(cli: Cli, busybox: str, taken: str, words: list[str], code: int, said: str) -> None:
    with nothing_left(cli):
        refused(cli(*words, check=False), code, said)


def test_host_port_of_another_container(cli: Cli, busybox: str, taken: str) -> None:
    with nothing_left(cli):
        result = cli("run", "--rm", "-p", f"{taken}:80", busybox, "true", check=False)
    refused(result, 125, f"0.0.0.0:{taken}/tcp is already allocated to container taken")


def test_host_port_of_another_program(cli: Cli, busybox: str, taken: str) -> None:
    with socket.socket() as other, nothing_left(cli):
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        refused(cli("run", "--rm", "-p", f"{port}:80", busybox, "true", check=False), 125, "in use by another program")


@pytest.mark.parametrize(
    "flags",
    [
        ["--name", "a\nb"],
        ["-e", "A=b\nlxc.hook.pre-start = /bin/true"],
        ["-l", "a=b\x1b[2J"],
        ["-h", "a\nb"],
        ["-w", "/a\nb"],
        ["-u", "a\nb"],
        ["-v", "/tmp:/a\nb"],
        ["--tmpfs", "/a\nb"],
        ["--add-host", "a\nb:1.2.3.4"],
        ["--dns-search", "a\nb"],
        ["--domainname", "a\nb"],
    ],
)
def test_control_characters(cli: Cli, busybox: str, flags: list[str]) -> None:
    with nothing_left(cli):
        result = cli("run", "--rm", *flags, busybox, "true", check=False)
    refused(result, 125, "")
    assert re.search("not allowed|control character|invalid", result.err) and "\x1b" not in result.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--pids-limit", "99999999999"], 'Failed to set "pids.max" to "99999999999"'),
        (["--memory", "1k"], "--memory 1k: the least is 6 MiB"),
        (["--memory", "64m", "--memory-swap", "32m"], "--memory-swap is smaller than --memory"),
    ],
)
def test_limits_that_are_refused(cli: Cli, busybox: str, flags: list[str], said: str) -> None:
    with nothing_left(cli):
        refused(cli("run", "--rm", *flags, busybox, "true", check=False), 125, said)
        refused(cli("run", "-d", "--rm", *flags, busybox, "true", check=False), 125, said)


def test_not_root(cli: Cli, busybox: str, taken: str) -> None:
    for words, code in ((["ps"], 1), (["run", "--rm", busybox, "true"], 125), (["rm", "-f", "taken"], 1)):
        with nothing_left(cli):
            refused(as_nobody(cli, *words), code, "lxcwrap needs root: try sudo")
    assert as_nobody(cli, "version", "--help").code == 0
    assert cli("inspect", "-f", "{{.State.Running}}", "taken").out == "true\n"


def as_nobody(cli: Cli, *words: str) -> Result:
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return result_of([*drop, *cli.argv(*words)], cli)


def result_of(argv: list[str], cli: Cli, prepare: Callable[[], None] | None = None) -> Result:
    done = subprocess.run(
        argv, capture_output=True, env=cli.environment, stdin=subprocess.DEVNULL, timeout=60, preexec_fn=prepare
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def hiding(target: str, with_what: str) -> list[str]:
    """The beginning of a command line that sees another file in place of ``target``."""
    return ["unshare", "-m", "sh", "-c", f'mount --bind {with_what} {target} && exec "$0" "$@"']


def test_without_liblxc(fresh_cli: Cli) -> None:
    fresh_cli("template", "build", "busybox", "-t", "busybox")
    fresh_cli("run", "--rm", "busybox", "true")
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, check=True).stdout.decode()
    library = os.path.realpath(re.findall(r"liblxc\.so\.1 .*=> (\S+)", listed)[0])
    with nothing_left(fresh_cli):
        argv = [*hiding(library, "/dev/null"), *fresh_cli.argv("run", "--rm", "busybox", "true")]
        refused(result_of(argv, fresh_cli), 125, "liblxc")
    assert result_of([*hiding(library, "/dev/null"), *fresh_cli.argv("images", "-q")], fresh_cli).code == 0


def test_kernel_without_overlay(fresh_cli: Cli, tmp_path: Path) -> None:
    known = Path("/proc/filesystems").read_text().splitlines()
    (tmp_path / "filesystems").write_text("".join(f"{line}\n" for line in known if "overlay" not in line))
    hidden = hiding("/proc/filesystems", str(tmp_path / "filesystems"))

    def run(*words: str) -> Result:
        return result_of([*hidden, *fresh_cli.argv(*words)], fresh_cli, no_fsopen)

    fresh_cli("ps")
    with nothing_left(fresh_cli):
        wanted = run("--storage-driver", "overlay", "template", "build", "busybox")
        assert wanted.code == 1 and "overlay: this kernel has no overlay" in wanted.err.splitlines()[-1]
    assert run("template", "build", "busybox", "-t", "busybox").code == 0
    assert fresh_cli("info", "-f", "{{.Driver}}").out == "vfs\n"
    assert "copies every layer whole" in fresh_cli("info").err
    assert fresh_cli("run", "--rm", "busybox", "echo", "alive").out == "alive\n"
    for code, verb in ((125, ("run", "--rm", "busybox", "true")), (1, ("info",))):
        changed = fresh_cli("--storage-driver", "overlay", *verb, check=False)
        refused(changed, code, "uses the storage driver vfs, not overlay")


def test_storage_driver_of_a_new_root(fresh_cli: Cli) -> None:
    refused(fresh_cli("--storage-driver", "nosuch", "images", check=False), 125, "no storage driver 'nosuch'")
    asked = {"LXCWRAP_STORAGE_DRIVER": "vfs"}
    assert fresh_cli("info", "-f", "{{.Driver}}", env=asked).out == "vfs\n", "what shows it chooses it, too"
    assert fresh_cli("info", "-f", "{{.Driver}}").out == "vfs\n"


def no_fsopen() -> None:
    """Have the kernel say that it does not know any file system (seccomp(2), a classic BPF program)."""
    program = [
        struct.pack("HBBI", 0x20, 0, 0, 0),  # load the system call's number
        struct.pack("HBBI", 0x15, 0, 1, _FSOPEN),  # if it is another, skip one
        struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | errno.ENODEV),
        struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000),
    ]
    code = ctypes.create_string_buffer(b"".join(program))
    fprog = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(fprog)):
        raise OSError(ctypes.get_errno(), "seccomp")


HOSTILE = {
    "a path above": tar(member("../outside", content=b"x")),
    "through a link": tar(member("way", tarfile.SYMTYPE, linkname="/etc"), member("way/lxcwrap-outside", content=b"x")),
    "a hard link to outside": tar(member("x", tarfile.LNKTYPE, linkname="../../../../../../etc/passwd")),
    "a device": tar(member("disk", tarfile.BLKTYPE, devmajor=8, devminor=0)),
    "half a tar": tar(member("x", content=bytes(5000)))[:3000],
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("way", ["import", "cp", "add"])
def test_archives_that_climb_out(cli: Cli, busybox: str, taken: str, tmp_path: Path, what: str, way: str) -> None:
    (tmp_path / "x.tar").write_bytes(HOSTILE[what])
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nADD x.tar /\n")
    words = {
        "import": ["import", str(tmp_path / "x.tar"), "hostile"],
        "cp": ["cp", "-", "taken:/root"],
        "add": ["build", "-q", "-t", "hostile", str(tmp_path)],
    }[way]
    before = everything(cli)
    result = cli(*words, input=HOSTILE[what], check=False)
    assert not os.path.exists("/etc/lxcwrap-outside") and not os.path.exists(f"{cli.root}/outside")
    if what == "through a link" and not result.code:  # followed inside the container, as a user expects
        cli("rmi", "-f", "hostile", check=False)
        return
    assert result.code == 1 and result.err.strip().splitlines()[-1].startswith("lxcwrap: "), result
    assert everything(cli) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM busybox\n\nFETCH x\n", "Dockerfile:3: unknown instruction: FETCH"),
        ("FROM busybox\nCOPY nothing /\n", "Dockerfile:2: COPY: nothing is not in the context"),
        ("RUN true\n", "Dockerfile:1: RUN stands before the first FROM"),
        ("", "Dockerfile: it has no instructions"),
    ],
)
def test_dockerfiles(cli: Cli, busybox: str, taken: str, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    with nothing_left(cli):
        result = cli("build", "-q", tmp_path, check=False)
    *steps, last = result.err.splitlines()
    refused(result._replace(err=last + "\n"), 1, f"lxcwrap: {said}")
    assert all(step.startswith("#") for step in steps), "what was said of the steps before"


def test_image_in_use_and_cidfile(cli: Cli, busybox: str, taken: str, tmp_path: Path) -> None:
    (tmp_path / "cid").write_text("kept")
    with nothing_left(cli):
        refused(cli("run", "--cidfile", tmp_path / "cid", busybox, "true", check=False), 125, "exists already")
    assert (tmp_path / "cid").read_text() == "kept"
    state: Any = cli("inspect", "-f", "{{.State.Status}}", "taken").out
    assert state == "running\n"
