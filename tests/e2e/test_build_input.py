"""Where a build's input comes from, what its flags do, and how it shows itself."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest


def _run(cli: Any, image: str, line: str) -> str:
    return str(cli("run", "--rm", "--network", "none", image, "sh", "-c", line).out)


def _config(cli: Any, image: str) -> dict[str, Any]:
    return dict(json.loads(cli("image", "inspect", image).out)[0]["Config"])


def _built(cli: Any, place: Path, text: str, *flags: str) -> str:
    (place / "Dockerfile").write_text(text)
    return str(cli("build", "-q", "--network", "none", *flags, place).out.strip())


def _tar(files: dict[str, str], mode: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return packed.getvalue()


# -- stdin


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archive_on_stdin(cli: Any, busybox: str, mode: str) -> None:
    files = {"./o/D": f"FROM {busybox}\nCOPY . /c\n", "./a": "1", "./b": "2", ".dockerignore": "b\n.docker*\no"}
    image = cli("build", "-q", "-f", "o/D", "-", input=_tar(files, mode)).out.strip()
    assert _run(cli, image, "cd /c; ls -A").split() == ["a"]


def test_archive_on_stdin_that_is_wrong(cli: Any) -> None:
    missing = cli("build", "-", input=_tar({"a": "1"}, "w"), check=False)
    assert (missing.code, missing.err) == (
        1,
        "lxcwrap: the archive on stdin has no Dockerfile (name its Dockerfile with -f)\n",
    )
    climbing = cli("build", "-", input=_tar({"Dockerfile": "FROM scratch", "../../x": "1"}, "w"), check=False)
    assert climbing.code == 1 and climbing.err.count("\n") == 1
    cut = cli("build", "-", input=_tar({"Dockerfile": "FROM scratch\n", "x": "1" * 9000}, "w:gz")[:-40], check=False)
    assert cut.code == 1 and cut.err.count("\n") == 1
    empty = cli("build", "-", input=b"", check=False)
    assert empty.code == 1 and "stdin is empty" in empty.err


def test_dockerfile_on_stdin_with_a_context(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    image = cli("build", "-q", "-f", "-", tmp_path, input=f"FROM {busybox}\nCOPY x /x\n".encode()).out.strip()
    assert _run(cli, image, "cat /x") == "1"
    alone = cli("build", "-", input=f"FROM {busybox}\nCOPY x /x\n".encode(), check=False)
    assert alone.code == 1 and "Dockerfile:2: COPY: x is not in the context" in alone.err
    both = cli("build", "-f", "-", "-", input=b"FROM scratch\n", check=False)
    assert both.code == 1 and "stdin cannot be both" in both.err


def test_dockerfile_outside_of_the_context(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "x").write_text("1")
    (tmp_path / "Other").write_text(f"FROM {busybox}\nCOPY x /x\n")
    image = cli("build", "-q", "-f", tmp_path / "Other", tmp_path / "context").out.strip()
    assert _run(cli, image, "cat /x") == "1"


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("nosuch", "build context nosuch: no such directory"),
        ("/etc/hostname", "build context /etc/hostname: is not a directory"),
        ("https://example.invalid/x.git", "a build context from a URL is not supported yet"),
        (".", "no Dockerfile at ./Dockerfile (name it with -f)"),
    ],
)
def test_contexts_that_are_none(cli: Any, tmp_path: Path, context: str, message: str) -> None:
    refused = cli("build", context, check=False, cwd=tmp_path)
    assert refused.code == 1 and refused.err.startswith(f"lxcwrap: {message}") and refused.err.count("\n") == 1


# -- flags


def test_names_labels_and_arguments(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "ARG base=nosuch\nARG both=outer\nFROM $base\nARG both\nARG word=default\nLABEL a=1 b=2\nENV word=env\n"
        "RUN echo $both $word ${HTTP_PROXY:-none} $http_proxy >/said\n"
    )
    flags = ("--build-arg", f"base={busybox}", "--build-arg", "word=given", "--build-arg", "HTTP_PROXY=http://p")
    done = cli(
        "build", "--network", "none", "-t", "one", "-t", "two:2", "--label", "a=9", "--label", "c", *flags,
        "--build-arg", "FROM_HERE", "--build-arg", "unknown=1", tmp_path, env={"FROM_HERE": "1"},
    )  # fmt: skip
    assert done.out == ""
    assert "[Warning] one or more build-args ['FROM_HERE', 'unknown'] were not consumed\n" in done.err
    assert _run(cli, "two:2", "cat /said") == "outer env http://p http://p\n"  # ENV wins over ARG
    assert _config(cli, "one")["Labels"] == {"a": "9", "b": "2", "c": ""}
    assert cli("images", "-q", "one").out == cli("images", "-q", "two").out != ""
    history = cli("history", "--no-trunc", "one").out
    assert "ARG both=outer" in history and "http://p" not in history
    again = cli("build", "--network", "none", *flags[:-1], "HTTP_PROXY=http://other", "--progress", "plain", tmp_path)
    assert again.err.count("CACHED") == 2


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--build-arg", "=x"), 125, "--build-arg '=x' is not NAME=VALUE"),
        (("--label", "=x"), 125, "--label '=x' has no name"),
        (("--network", "nosuch"), 1, "--network 'nosuch' is not known to build"),
        (("--platform", "plan9"), 1, "--platform plan9: images are built for linux only"),
        (("--add-host", "name"), 125, "invalid --add-host 'name'"),
        (("--target", "tset"), 1, "Dockerfile: there is no stage 'tset' (did you mean test?)"),
        (("-t", "UPPER"), 1, "invalid reference 'UPPER'"),
        (("--cache-from", "x"), 125, "--cache-from is not supported: it comes with a later version of the builder"),
        (("--secret", "id=x"), 125, "--secret is not supported: it comes with a later version of the builder"),
        (("--iidfile", "/no/such/id"), 1, "--iidfile /no/such/id: there is no directory /no/such"),
        (("--build-arg", "SOURCE_DATE_EPOCH=" + "9" * 12), 1, "SOURCE_DATE_EPOCH='999999999999' is not a number of"),
        (("--squash",), 125, "--squash is not supported: layers are shared, squashing would copy them"),
    ],
)
def test_flags_that_are_wrong(cli: Any, tmp_path: Path, flags: tuple[str, ...], code: int, message: str) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch AS test\n")
    refused = cli("build", *flags, tmp_path, check=False)
    assert refused.code == code
    assert refused.err.splitlines()[-1].startswith(f"lxcwrap: {message}")


def test_networks_and_hosts(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {busybox}\nRUN ls /sys/class/net >/n; grep -c 192.0.2.9 /etc/hosts >>/n || :\n"
    )
    none = cli("build", "-q", "--network", "none", tmp_path).out.strip()
    assert _run(cli, none, "cat /n") == "lo\n0\n"
    hosts = cli("build", "-q", "--network", "none", "--add-host", "name:192.0.2.9", tmp_path).out.strip()
    assert _run(cli, hosts, "cat /n") == "lo\n1\n"
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nRUN readlink /proc/self/ns/net >/n\n")
    host = cli("build", "-q", "--network", "host", tmp_path).out.strip()
    assert _run(cli, host, "cat /n").strip() == os.readlink("/proc/self/ns/net")


def test_other_platforms(cli: Any, busybox: str, tmp_path: Path) -> None:
    program = (
        b"\x7fELF"
        + bytes([2, 1, 1])
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 22, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    (tmp_path / "sh").write_bytes(program + bytes(56))
    (tmp_path / "sh").chmod(0o755)
    image = _built(cli, tmp_path, "FROM scratch\nCOPY sh /bin/sh\n", "--platform", "linux/s390x", "-t", "foreign")
    assert cli("inspect", "-f", "{{.Architecture}}", image).out == "s390x\n"
    (tmp_path / "Dockerfile").write_text("FROM foreign\nRUN true\n")
    failed = cli("build", "-q", "--network", "none", "--platform", "linux/s390x", tmp_path, check=False)
    assert failed.code == 1
    assert "Exec format error" in failed.err and "(the stage is for linux/s390x, this host is " in failed.err
    (tmp_path / "Dockerfile").write_text(f"FROM --platform=linux/s390x localhost:1/{busybox}\n")
    cli("tag", busybox, f"localhost:1/{busybox}")
    absent = cli("build", "-q", tmp_path, check=False)
    assert absent.code == 1 and "(the one that is here is for linux/" in absent.err


def test_base_is_pulled_and_shown(cli: Any, busybox: str, registry: str, tmp_path: Path) -> None:
    name = f"{registry}/base:build"
    cli("tag", busybox, name)
    cli("push", name)
    newer = _built(cli, tmp_path, f"FROM {busybox}\nLABEL newer=1\n", "-t", "newer")
    cli("rmi", name)
    (tmp_path / "Dockerfile").write_text(f"FROM {name}\n")
    pulled = cli("build", "--progress", "plain", "-t", "child", tmp_path).err
    assert f"Pulling from {registry}/base\n" in pulled and f"Status: Downloaded newer image for {name}\n" in pulled
    cli("tag", newer, name)
    cli("push", name)
    cli("tag", busybox, name)
    assert cli("build", "-q", tmp_path).out.strip() != newer
    cli("build", "-q", "--pull", "-t", "child", tmp_path)
    assert _config(cli, "child")["Labels"] == {"newer": "1"}


# -- what a base image leaves to its children


def test_triggers_run_once_in_the_child(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    _built(
        cli, tmp_path, f"FROM {busybox}\nONBUILD COPY x /onbuild/\nONBUILD ARG V=1\nONBUILD RUN echo $V >/onbuild/v\n"
        "ONBUILD USER daemon\n", "-t", "parent",
    )  # fmt: skip
    assert _config(cli, "parent")["OnBuild"] == [
        "COPY x /onbuild/", "ARG V=1", "RUN echo $V >/onbuild/v", "USER daemon",
    ]  # fmt: skip
    child = _built(cli, tmp_path, "FROM parent AS child\nFROM child\nRUN id -u >/tmp/id\n", "--build-arg", "V=2")
    assert _run(cli, child, "cat /onbuild/x /onbuild/v /tmp/id") == "12\n1\n"
    assert not _config(cli, child).get("OnBuild")
    (tmp_path / "x").unlink()
    (tmp_path / "Dockerfile").write_text("\nFROM parent\n")
    failed = cli("build", tmp_path, check=False)
    assert failed.code == 1 and "lxcwrap: Dockerfile:2: COPY: x is not in the context" in failed.err


def test_volumes_keep_what_builds_put_there(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x\n")
    image = _built(
        cli,
        tmp_path,
        f'FROM {busybox}\nRUN mkdir /v && echo 1 >/v/a\nVOLUME /v /w\nVOLUME ["/with blank"]\n'
        "RUN echo 2 >/v/b; rm /v/a\nCOPY x /v/c\nRUN echo 3 >>/v/c\n",
    )
    assert sorted(_config(cli, image)["Volumes"]) == ["/v", "/w", "/with blank"]
    assert _run(cli, image, "cd /v; grep . *") == "b:2\nc:x\nc:3\n"


def test_health_shell_and_signal(cli: Any, busybox: str, tmp_path: Path) -> None:
    image = _built(
        cli,
        tmp_path,
        f'# escape=`\nFROM {busybox}\nSHELL ["/bin/sh", "-ec"]\nRUN true || : `\n# comment\n && echo \\a >/x\n'
        'STOPSIGNAL 9\nCMD a b\nHEALTHCHECK --interval=5s --timeout=1m --retries=4 CMD ["true"]\n',
    )
    config = _config(cli, image)
    second = 10**9
    assert config["Healthcheck"] == {
        "Test": ["CMD", "true"],
        "Interval": 5 * second,
        "Timeout": 60 * second,
        "Retries": 4,
    }
    assert (config["Shell"], config["Cmd"]) == (["/bin/sh", "-ec"], ["/bin/sh", "-ec", "a b"])
    assert config["StopSignal"] == "9"
    none = _built(cli, tmp_path, f"FROM {image}\nHEALTHCHECK NONE\n")
    assert _config(cli, none)["Healthcheck"] == {"Test": ["NONE"]}


def test_builds_where_every_layer_is_a_full_copy(fresh_cli: Any, tmp_path: Path) -> None:
    fresh_cli("--storage-driver", "vfs", "template", "build", "busybox")
    (tmp_path / "x").write_text("1\n")
    image = _built(
        fresh_cli,
        tmp_path,
        "FROM busybox AS one\nRUN echo a >/a; rm -r /home\nCOPY x /d/\nFROM one\nRUN rm /a; echo 2 >>/d/x\n"
        "COPY --from=one /a /b\n",
    )
    assert _run(fresh_cli, image, "ls -d /home /a /b; cat /d/x; :").split() == ["/b", "1", "2"]
    assert fresh_cli("build", "--progress", "plain", "--network", "none", tmp_path).err.count("CACHED") == 5


# -- on a terminal


def test_progress_on_a_terminal(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {busybox}\nRUN for i in 1 2 3 4 5 6; do echo line $i; done; printf '\\033[31mred'; sleep 0.3\n"
        "RUN echo last; false\n"
    )
    build = cli.terminal("build", "--network", "none", tmp_path, dimensions=(24, 60))
    build.expect_exact("=> => # line 6")
    build.expect_exact("\x1b[")  # drawn again in the same place
    build.expect_exact("=> ERROR [3/3] RUN echo last; false")
    build.expect(r"------\r\n > \[3/3\] RUN echo last; false:\r\n[0-9.]+ last\r\n------\r\n")
    build.expect_exact("lxcwrap: Dockerfile:3: RUN echo last; false: exit code 1: last\r\n")
    build.wait()
    assert build.exitstatus == 1
    again = cli.terminal("build", "--network", "none", tmp_path, dimensions=(24, 60))
    again.expect_exact("=> CACHED [2/3] RUN for i in 1 2 3 4 5 6; do echo")
    again.wait()
