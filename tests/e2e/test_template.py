"""Base images from definitions: listed, built the same twice, overridden, and how they fail."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, Cli, Result, free_port


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Where the user's definitions are, with LXCWRAP_CONFIG_DIR at its parent."""
    place = tmp_path / "templates"
    place.mkdir()
    return place


def settings(own: Path) -> dict[str, str]:
    return {"LXCWRAP_CONFIG_DIR": str(own.parent)}


def nothing_left(cli: Cli) -> None:
    """For tests that leave no image themselves."""
    staging = Path(cli.root, "tmp")
    assert not staging.exists() or os.listdir(staging) == []
    assert cli.root not in Path("/proc/self/mounts").read_text()
    assert cli("images", "-aq").out == ""


def refused(result: Result, *said: str) -> None:
    assert result.code == 1 and result.out == "", result
    assert result.err.startswith("lxcwrap: ") and result.err.count("\n") == 1, "one clear line"
    for words in said:
        assert words in result.err


def test_definitions_are_listed_and_shown(cli: Cli) -> None:
    rows = {line.split()[0]: line.split()[1:4] for line in cli("template", "ls").lines}
    assert rows.pop("NAME") == ["RELEASE", "METHOD", "SOURCE"]
    assert rows == {
        "alpine": ["latest-stable", "alpine", "installed"],
        "busybox": ["-", "busybox", "installed"],
        "centos-stream": ["9", "dnf", "installed"],
        "debian": ["bookworm", "debootstrap", "installed"],
        "rocky": ["9", "dnf", "installed"],
        "ubuntu": ["noble", "debootstrap", "installed"],
    }
    shown = cli("template", "show", "debian").lines
    assert shown[0].startswith("# /") and shown[0].endswith("/templates/debian.yaml")
    assert shown[1:] == (CHECKOUT / "templates" / "debian.yaml").read_text().splitlines()


def test_definitions_that_are_none(cli: Cli, own: Path) -> None:
    (own / "folder.yaml").mkdir()
    (own / "binary.yaml").write_bytes(b"method: busybox\n\xff\xfe")
    listed = cli("template", "ls", env=settings(own)).out
    assert "busybox" in listed and "folder" not in listed and "binary.yaml:2: not UTF-8 text" in listed
    for verb in ("show", "build"):
        refused(cli("template", verb, "binary", env=settings(own), check=False), "binary.yaml:2: not UTF-8 text")
    mirror = ("--mirror", "http://mirror.lan")
    refused(cli("template", "build", "busybox", *mirror, check=False), "template busybox fetches nothing from a mirror")


def test_the_same_definition_gives_the_same_image(cli: Cli, fresh_cli: Cli) -> None:
    first = cli("template", "build", "-q", "busybox", "-t", "one:a").out
    assert first.startswith("sha256:")
    assert cli("template", "build", "-q", "busybox", "-t", "one:b").out == first
    assert fresh_cli("template", "build", "-q", "busybox").out == first, "in another state root too"
    assert sorted(cli("images", "--format", "{{.Repository}}:{{.Tag}}", "one").lines) == ["one:a", "one:b"]
    later = cli("template", "build", "-q", "busybox", "-t", "one:c", env={"SOURCE_DATE_EPOCH": "86400"}).out
    assert later != first and cli("image", "inspect", "-f", "{{.Created}}", "one:c").out == "1970-01-02T00:00:00Z\n"
    cli("rmi", "-f", "one:a", "one:b", "one:c")


def test_the_users_definition_wins(cli: Cli, tmp_path: Path) -> None:
    """As the documentation says it: in /etc/lxcwrap/templates (here laid over /etc for these processes alone)."""
    place = tmp_path / "etc" / "lxcwrap" / "templates"
    place.mkdir(parents=True)
    text = (CHECKOUT / "templates" / "busybox.yaml").read_text()
    (place / "busybox.yaml").write_text(
        text.replace("\ndescription: BusyBox", "\ndescription: My BusyBox") + "\nuser: nobody\n"
    )
    over = ["unshare", "--mount", "sh", "-c", 'mount -t overlay none -o "lowerdir=$0:/etc" /etc && exec "$@"']
    prefix = [*over, str(tmp_path / "etc"), *cli.argv("template")]

    def run(*words: str) -> str:
        environment = {key: value for key, value in cli.environment.items() if key != "LXCWRAP_CONFIG_DIR"}
        done = subprocess.run([*prefix, *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    row = next(line for line in run("ls").splitlines() if line.startswith("busybox"))
    assert row.split()[3] == "own" and "My BusyBox" in row
    assert run("show", "busybox").startswith("# /etc/lxcwrap/templates/busybox.yaml\n")
    run("build", "-q", "busybox", "-t", "mine")
    assert cli("run", "--rm", "--network", "none", "mine", "id", "-un").out == "nobody\n"
    cli("rmi", "mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("method: [\n", "{file}:2: "),
        (
            "method: busybox\nprograms: [/bin/x]\nprogrms: 1\n",
            "{file}: unknown key 'progrms' (did you mean 'programs'?)",
        ),
        ("method: magic\n", "{file}: method is 'magic', not one of "),
        ("- a\n", "{file}: the definition is not a mapping"),
        ("method: alpine\nrelease: 3\n", "{file}: release is not a text (numbers and dates need quotes)"),
        ("method: alpine\n", "{file}: release is missing"),
        ("\x00", "{file}"),
    ],
)
def test_a_definition_that_is_wrong(cli: Cli, own: Path, text: str, said: str) -> None:
    file = own / "wrong.yaml"
    file.write_text(text)
    refused(cli("template", "build", "wrong", env=settings(own), check=False), said.format(file=file))
    row = next(line for line in cli("template", "ls", env=settings(own)).lines if line.startswith("wrong"))
    assert "unusable: " in row and str(file) in row


def test_names_that_are_none(cli: Cli) -> None:
    refused(cli("template", "build", "debain", check=False), "no such template: debain (did you mean 'debian'?)")
    refused(cli("template", "build", "../debian", check=False), "template name '../debian' is not allowed")
    refused(cli("template", "build", "debian", "--mirror", "/x", check=False), "mirror '/x' is not an http")
    refused(cli("template", "build", "busybox", "--release", "9", check=False), "template busybox has no releases")


@pytest.mark.parametrize("name", ["debian", "ubuntu", "alpine", "rocky", "centos-stream"])
def test_a_mirror_that_cannot_be_reached(cli: Cli, own: Path, needs: Callable[..., None], name: str) -> None:
    mirror = f"http://127.0.0.1:{free_port()}/{name}"
    text = (CHECKOUT / "templates" / f"{name}.yaml").read_text()
    (own / f"{name}.yaml").write_text(text.replace("ubuntu-archive-keyring.gpg", "debian-archive-keyring.gpg"))
    if name in ("debian", "ubuntu"):
        needs("debootstrap")
    build = ["template", "build", "-q", name, "--mirror", mirror]
    result = cli(*build, env=settings(own), check=False, timeout=30)
    absent = name in ("rocky", "centos-stream") and not shutil.which("dnf")
    refused(result, f"template {name} needs dnf, which is not installed" if absent else mirror, f"template {name}")
    nothing_left(cli)


def test_an_archive_whose_keys_are_missing(cli: Cli, own: Path, needs: Callable[..., None]) -> None:
    needs("debootstrap")
    text = (CHECKOUT / "templates" / "ubuntu.yaml").read_text()
    (own / "ubuntu.yaml").write_text(text.replace("/usr/share/keyrings/", "/nowhere/"))
    refused(
        cli("template", "build", "ubuntu", env=settings(own), check=False),
        "template ubuntu: the archive's keys /nowhere/ubuntu-archive-keyring.gpg are missing (install ubuntu-keyring)",
    )
    nothing_left(cli)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_interrupted(cli: Cli, needs: Callable[..., None], number: signal.Signals) -> None:
    """While debootstrap waits for a mirror that says nothing."""
    needs("debootstrap")
    with socket.socket() as mirror:
        mirror.bind(("127.0.0.1", 0))
        mirror.listen()
        mirror.settimeout(20)
        address = f"http://127.0.0.1:{mirror.getsockname()[1]}/debian"
        words = ("template", "build", "debian", "--mirror", address)
        build = cli.popen(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        connection, _ = mirror.accept()
        with connection:
            build.send_signal(number)
            code = build.wait(timeout=20)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    for _ in range(100):
        if not tools_of(address):
            break
        time.sleep(0.02)
    assert tools_of(address) == []
    if number == signal.SIGKILL:
        cli("template", "build", "busybox", "-t", "next")  # sweeps
        cli("rmi", "next")
    nothing_left(cli)


def tools_of(address: str) -> list[str]:
    """Processes whose arguments name the mirror."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if address in text:
            found.append(text)
    return found
