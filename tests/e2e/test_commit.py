"""``commit``, ``diff``, ``export`` and ``import`` as a user types them."""

from __future__ import annotations

import gzip
import io
import json
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.unit.tars import member, tar

CHANGES = "echo hi > /etc/x; chown 5:6 /etc/x; rm /etc/group; mkdir /d"


@pytest.fixture(scope="module")
def changed(cli: Cli, busybox: str) -> str:
    cli("run", "--network", "none", "--name", "changed", "-e", "A=1", busybox, "sh", "-c", CHANGES)
    return "changed"


def config_of(cli: Cli, image: str) -> dict[str, object]:
    inspected: dict[str, object] = json.loads(cli("inspect", image).out)[0]
    return inspected


def test_diff(cli: Cli, changed: str) -> None:
    assert cli("diff", changed).lines == ["A /d", "C /etc", "D /etc/group", "A /etc/x"]
    assert cli("container", "diff", changed).code == 0


def test_commit_and_run(cli: Cli, changed: str) -> None:
    image_id = cli("commit", "-m", "said hi", "-a", "Ann", changed, "me/hi:1").out.strip()
    assert image_id.startswith("sha256:")
    shown = cli(
        "run", "--network", "none", "--rm", "me/hi:1", "sh", "-c", "cat /etc/x; stat -c %u:%g /etc/x; ls /etc /d"
    )
    assert shown.out.split()[:2] == ["hi", "5:6"] and "group" not in shown.out
    inspected = config_of(cli, image_id)
    assert inspected["Author"] == "Ann" and inspected["Comment"] == "said hi"
    assert "A=1" in inspected["Config"]["Env"]  # type: ignore[index]
    assert "said hi" in cli("history", "me/hi:1").out


def test_commit_applies_instructions(cli: Cli, changed: str) -> None:
    lines = ['CMD ["cat", "/etc/x"]', 'ENV B="two words"', "EXPOSE 80", "LABEL a=b", "USER 5", "VOLUME /v"]
    lines += ["WORKDIR /etc", "ONBUILD RUN true"]
    words = [word for line in lines for word in ("-c", line)]
    cli("commit", *words, changed, "me/config")
    config = config_of(cli, "me/config")["Config"]
    assert isinstance(config, dict)
    assert config["Cmd"] == ["cat", "/etc/x"] and config["User"] == "5" and config["WorkingDir"] == "/etc"
    assert (
        config["ExposedPorts"] == {"80/tcp": {}} and config["Volumes"] == {"/v": {}} and config["Labels"] == {"a": "b"}
    )
    assert cli("run", "--network", "none", "--rm", "me/config").out == "hi\n"


@pytest.mark.parametrize("line", ["RUN true", "FROM scratch", "NONSENSE x", "", "EXPOSE abc"])
def test_commit_refuses_other_instructions(cli: Cli, changed: str, line: str) -> None:
    before = cli("images", "-q", "-a").lines
    refused = cli("commit", "-c", line, changed, check=False)
    assert refused.code and refused.err.count("\n") == 1
    assert cli("images", "-q", "-a").lines == before


def test_commit_of_a_running_container(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--network", "none", "--name", "live", busybox, "sh", "-c", "echo 1 > /made; exec sleep 600")
    for flag in ("--pause", "--pause=false"):
        image_id = cli("commit", flag, "live").out.strip()
        found = cli("run", "--network", "none", "--rm", image_id, "cat", "/made")
        assert found.out == "1\n"
    assert cli("inspect", "-f", "{{.State.Status}}", "live").out == "running\n"


def test_nothing_changed_is_no_layer(cli: Cli, busybox: str) -> None:
    cli("create", "--network", "none", "--name", "idle", busybox, "true")
    assert cli("diff", "idle").out == ""
    image_id = cli("commit", "idle").out.strip()
    assert len(config_of(cli, image_id)["RootFS"]["Layers"]) == 1  # type: ignore[index]


def test_bad_names(cli: Cli, changed: str) -> None:
    assert cli("commit", "nobody", check=False).err == "lxcwrap: no such container: nobody\n"
    assert cli("commit", changed, "me/UPPER", check=False).code != 0


def test_export_and_import(cli: Cli, changed: str, tmp_path: Path) -> None:
    cli("export", "-o", tmp_path / "out.tar", changed)
    with tarfile.open(tmp_path / "out.tar") as archive:
        names = {info.name: info for info in archive}
    assert {"d", "etc/x", "bin/busybox"} <= set(names) and "etc/group" not in names
    assert (names["etc/x"].uid, names["bin"].uid) == (5, 0)
    imported = cli("import", "-c", 'CMD ["cat", "/etc/x"]', "-m", "flat", tmp_path / "out.tar", "me/flat").out.strip()
    assert cli("run", "--network", "none", "--rm", "me/flat").out == "hi\n"
    packed = gzip.compress((tmp_path / "out.tar").read_bytes())
    again = cli("import", "-", "me/again", input=packed).out.strip()
    layers = [config_of(cli, image)["RootFS"] for image in (imported, again)]
    assert layers[0] == layers[1]


def test_export_leaves_volumes_out(cli: Cli, busybox: str) -> None:
    cli(
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "vol",
        "-v",
        "v:/v",
        busybox,
        "sh",
        "-c",
        "echo 1 >/v/in; echo 1 >/out; exec sleep 600",
    )
    for _ in range(100):
        content = subprocess.run(cli.argv("export", "vol"), env=cli.environment, stdout=-1, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            names = set(archive.getnames())
        if "out" in names:
            break
    assert "v" in names and "v/in" not in names and not [name for name in names if name.startswith(("proc/", "sys/"))]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"not a tar" * 100, "not a tar"),
        (tar(member("../x")), "climbs out"),
        (tar(member("x", content=bytes(5000)))[:3000], "ends in the middle"),
        (gzip.compress(tar(member("x", content=bytes(5000))))[:-20], "ends early"),
    ],
)
def test_import_of_rubbish(cli: Cli, busybox: str, content: bytes, words: str) -> None:
    before = cli("images", "-q", "-a").lines
    refused = cli("import", "-", "me/bad", input=content, check=False)
    assert refused.code == 1 and words in refused.err and refused.err.count("\n") == 1
    assert cli("images", "-q", "-a").lines == before
    assert list(Path(cli.root, "tmp").iterdir()) == []


def test_import_of_nothing(cli: Cli, busybox: str) -> None:
    assert "no such file" in cli("import", "/nonexistent.tar", check=False).err
    assert cli("import", "http://127.0.0.1:9/x.tar", check=False).err.endswith("x.tar: Connection refused\n")
    assert cli("import", "http://a b/x", check=False).err.startswith("lxcwrap: http://a b/x: ")


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
def test_import_from_a_server_that_speaks_something_else(cli: Cli, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        refused = cli("import", url, check=False)
    assert refused.code == 1 and refused.err.startswith(f"lxcwrap: {url}: ") and refused.err.count("\n") == 1


def test_export_fails_cleanly(cli: Cli, tmp_path: Path) -> None:
    assert cli("export", "-o", tmp_path / "x.tar", "nobody", check=False).code == 1
    assert list(tmp_path.iterdir()) == []
