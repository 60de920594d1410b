"""``image copy``: what a host lacks of an image, and no more, to many at once; cut, refused and gone on with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lxcwrap.actions import image_offer
from lxcwrap.runtime import frames
from tests.conftest import Result
from tests.fleet.conftest import Fleet
from tests.fleet.test_commands import wait_for

MB = 1_000_000
WRAPPER = "/usr/local/bin/lxcwrap"


class Application:
    """An image of a large base, which rarely changes, and something small on top of it."""

    def __init__(self, fleet: Fleet, place: Path) -> None:
        self.fleet = fleet
        self.place = place
        shutil.copy("/bin/busybox", place / "busybox")
        self.base()
        (place / "Dockerfile").write_text("FROM scratch\nCOPY busybox base /\nCOPY last /\n")

    def base(self, size: int = 12) -> None:
        (self.place / "base").write_bytes(os.urandom(size * MB))

    def build(self, name: str) -> str:
        """Another top on the same base; returns its ID."""
        (self.place / "last").write_bytes(os.urandom(MB))
        return self.fleet("build", "-q", "-t", name, self.place).out.strip()


@pytest.fixture(scope="module")
def application(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Application:
    return Application(fleet, tmp_path_factory.mktemp("application"))


def sent(line: str) -> int:
    """The bytes that the summary's line of a host says were sent."""
    match = re.search(r" ([0-9.]+)(B|kB|MB) sent", line)
    assert match, line
    return int(float(match[1]) * {"B": 1, "kB": 1000, "MB": MB}[match[2]])


def summary(result: Result) -> dict[str, str]:
    """The lines of the hosts that have it all."""
    return {line.partition(":")[0]: line for line in result.lines if " sent, " in line}


def known(fleet: Fleet, host: str, name: str) -> str:
    return fleet("-H", host, "images", "-q", "--no-trunc", name).out.strip()


def state(fleet: Fleet, host: str) -> str:
    return str(fleet.home / "states" / host)


def manifest(root: str, image: str) -> str:
    with sqlite3.connect(f"file:{root}/state.db?mode=ro", uri=True) as db:
        return str(db.execute("SELECT manifest FROM images WHERE id = ?", (image,)).fetchone()[0])


def partials(fleet: Fleet, host: str) -> list[Path]:
    place = Path(state(fleet, host)) / "blobs" / "partial"
    return [path for path in place.glob("*") if path.suffix != ".lock"] if place.exists() else []


def test_to_several_hosts_what_they_lack(fleet: Fleet, application: Application) -> None:
    first = application.build("app:1")
    lines = summary(fleet("image", "copy", "app:1", "all"))
    assert list(lines) == ["alpha", "beta", "gamma"]
    assert all(": 2 layers" in line and 13 * MB < sent(line) < 15 * MB for line in lines.values())
    second = application.build("app:2")
    lines = summary(fleet("image", "copy", "app:2", "alpha", "zone=b"))
    assert all(": 1 layer in" in line and sent(line) < 1.2 * MB for line in lines.values()) and len(lines) == 3
    there = sorted(fleet("-H", "all", "images", "--no-trunc", "--format", "{{.Tag}} {{.ID}}", "app").lines)
    expected = [f"{tag} {image}" for tag, image in (("1", first), ("2", second))]
    assert there == [f"{host:5} | {line}" for host in lines for line in expected]
    assert manifest(fleet.operator.root, second) == manifest(state(fleet, "beta"), second)
    assert fleet("-H", "gamma", "run", "--rm", "app:2", "/busybox", "wc", "-c", "/base", "/last").code == 0
    assert partials(fleet, "alpha") == []


def test_several_images_and_one_without_a_name(fleet: Fleet, application: Application) -> None:
    image = application.build("app:nameless")
    twice = summary(fleet("image", "copy", f"{image},app:1,app:2", "alpha", f"root@{fleet.addresses['alpha']}"))
    few, more = sorted(map(sent, twice.values()))
    assert len(twice) == 2 and few < 20_000 and MB < more < 1.2 * MB
    assert image in fleet("-H", "alpha", "images", "-q", "--no-trunc").lines
    assert fleet("-H", "alpha", "images", "-q", "app:nameless").out == ""
    fleet("image", "copy", "-q", "app:nameless", "alpha")
    assert known(fleet, "alpha", "app:nameless") == image
    again = summary(fleet("image", "copy", "app:nameless", "alpha"))["alpha"]
    assert ": 0 layers in" in again and sent(again) < 10_000


def cut(fleet: Fleet, host: str, name: str, number: int) -> int:
    """End a copy by a signal when some of a layer has come; the bytes that were kept there."""
    copy = fleet.operator.popen("image", "copy", name, host, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not any(path.stat().st_size > 3 * MB for path in partials(fleet, host)):
        assert copy.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    copy.send_signal(number)
    assert copy.wait(15) == (130 if number == signal.SIGINT else -number)
    wait_for(fleet, host, False, "pgrep", "-f", "remote-end")
    return sum(path.stat().st_size for path in partials(fleet, host))


def test_a_copy_that_was_cut_goes_on(fleet: Fleet, application: Application) -> None:
    application.base(40)
    image = application.build("app:cut")
    kept = cut(fleet, "alpha", "app:cut", signal.SIGKILL)
    assert 3 * MB < kept < 40 * MB and known(fleet, "alpha", "app:cut") == ""
    line = summary(fleet("image", "copy", "app:cut", "alpha"))["alpha"]
    assert "were there" in line and sent(line) < 42.5 * MB - kept
    assert known(fleet, "alpha", "app:cut") == image and partials(fleet, "alpha") == []
    assert os.listdir(f"{state(fleet, 'alpha')}/tmp") == []
    assert fleet("-H", "alpha", "run", "--rm", "app:cut", "/busybox", "md5sum", "/base").code == 0


def test_what_was_kept_and_is_wrong_is_sent_anew(fleet: Fleet, application: Application) -> None:
    cut(fleet, "beta", "app:cut", signal.SIGINT)
    part = max(partials(fleet, "beta"), key=lambda path: path.stat().st_size)
    with open(part, "r+b") as stream:
        stream.seek(MB)
        stream.write(b"other")
    line = summary(fleet("image", "copy", "app:cut", "beta"))["beta"]
    assert "were there" not in line and sent(line) > 40 * MB
    assert partials(fleet, "beta") == []


def test_the_far_side_is_killed(fleet: Fleet, application: Application) -> None:
    copy = fleet.operator.popen("image", "copy", "app:cut", "gamma", stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    wait_for(fleet, "gamma", True, "pgrep", "-f", "remote-end")
    copy.send_signal(signal.SIGSTOP)
    fleet.inside("gamma", "pkill", "-KILL", "-f", "remote-end")
    copy.send_signal(signal.SIGCONT)
    said = copy.communicate(timeout=30)[1].decode()
    assert copy.returncode == 1 and said.startswith("lxcwrap: gamma: ") and said.count("\n") == 2, said
    assert summary(fleet("image", "copy", "app:cut", "gamma"))["gamma"]


@pytest.fixture
def small_disk(fleet: Fleet) -> Iterator[None]:
    """gamma has 20 MB for images, and none."""
    fleet.inside("gamma", "mount", "-t", "tmpfs", "-o", "size=20m,mode=711", "none", "/var/lib/lxcwrap")
    yield
    fleet.inside("gamma", "umount", "/var/lib/lxcwrap")


def test_a_host_that_fails_fails_alone(fleet: Fleet, application: Application, small_disk: None) -> None:
    dead = f"root@{fleet.addresses['alpha']}:2"
    some = fleet("image", "copy", "app:cut", "gamma", "alpha", dead, check=False)
    assert some.code == 1 and list(summary(some)) == ["alpha"]
    full, unreachable, count = some.err.splitlines()
    assert full.startswith("lxcwrap: gamma: the disk that holds /var/lib/lxcwrap is full")
    assert dead in unreachable and "refused" in unreachable
    assert count == "lxcwrap: 2 of 3 hosts failed"
    left = fleet.inside("gamma", "sh", "-c", "cd /var/lib/lxcwrap; ls blobs/partial blobs/sha256 layers tmp")
    assert left.out.split() == ["blobs/partial:", "blobs/sha256:", "layers:", "tmp:"]


def test_wrong_bytes_are_refused(fleet: Fleet, application: Application) -> None:
    """A blob that was damaged here."""
    image = application.build("app:damaged")
    fleet("image", "copy", "app:damaged", "alpha")
    place = Path(fleet.operator.root) / "blobs" / "sha256"
    blob = max(
        (path for path in place.iterdir() if path.stat().st_size < 2 * MB), key=lambda path: path.stat().st_mtime
    )
    content = blob.read_bytes()
    assert len(content) > MB
    blob.write_bytes(content[: MB // 2] + b"other" + content[MB // 2 + 5 :])
    refused = fleet("image", "copy", "app:damaged", "beta", check=False)
    assert refused.code == 1 and refused.err.count("\n") == 2
    assert "came as sha256:" in refused.err and blob.name in refused.err
    assert known(fleet, "beta", "app:damaged") == "" and partials(fleet, "beta") == []
    blob.write_bytes(content)
    fleet("image", "copy", "app:damaged", "beta")
    assert known(fleet, "beta", "app:damaged") == image


def says(inner: bytes, payload: bytes) -> bytes:
    return frames.encode(frames.OUTPUT, frames.encode(inner, payload))


HOSTILE = {
    "nothing": b"",
    "noise": os.urandom(100_000),
    "no list of layers": says(image_offer.WANTED, b"5"),
    "no layer": says(image_offer.WANTED, b"[42]"),
    "layers that nobody offered": says(image_offer.WANTED, b'[{"diff_id": "x", "offset": 0, "digest": ""}]'),
    "done at once": says(image_offer.DONE, b"[]"),
    "text for the terminal": frames.encode(frames.FAILED, b'{"message": "a\\u001b[2Jb"}'),
    "that it is an old one": frames.encode(frames.ERROR, b"lxcwrap: 'receive-images' is not a command of lxcwrap\n")
    + frames.encode(frames.EXITED, b'{"exit_code": 1}'),
}


def test_hostile_answers_are_one_line(fleet: Fleet, application: Application) -> None:
    script = b"#!/bin/sh\nprintf 'lxcwrap remote end 1\\n'; cat /root/answer; sleep 1\n"
    fleet.inside("beta", "mv", WRAPPER, f"{WRAPPER}.kept")
    try:
        fleet.inside("beta", "sh", "-c", f"cat >{WRAPPER}; chmod 755 {WRAPPER}", input=script)
        for what, answer in HOSTILE.items():
            fleet.inside("beta", "sh", "-c", "cat >/root/answer", input=answer)
            some = fleet("image", "copy", "app:1", "beta", check=False, timeout=20)
            assert some.code == 1 and not summary(some), what
            assert some.err.startswith("lxcwrap: beta") and some.err.count("\n") == 2, (what, some.err)
            assert "\x1b" not in some.err
    finally:
        fleet.inside("beta", "mv", f"{WRAPPER}.kept", WRAPPER)
    assert "too old" in some.err


def test_what_is_not_there(fleet: Fleet, application: Application) -> None:
    for words, said in (
        (("nosuch", "alpha"), "no such image"),
        (("app:1", "nosuch"), "there is no host or group 'nosuch'"),
        ((",", "alpha"), "name an image"),
    ):
        refused = fleet("image", "copy", *words, check=False)
        assert refused.code and said in refused.err and refused.err.count("\n") == 1


def test_from_a_host_it_runs_there(fleet: Fleet, application: Application) -> None:
    """With the keys and known hosts that are there: none."""
    refused = fleet("-H", "alpha", "image", "copy", "app:1", f"root@{fleet.addresses['beta']}", check=False)
    assert refused.code == 1 and "host key that is not known" in refused.err
