"""COPY and ADD as BuildKit does them (compared with docker.io 20.10), and what belongs to the context."""

from __future__ import annotations

import bz2
import gzip
import http.server
import io
import lzma
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest


def _write(place: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return place


def _build(cli: Any, place: Path, dockerfile: str, *flags: str) -> str:
    (place / "Dockerfile").write_text(dockerfile)
    return str(cli("build", "-q", "--network", "none", *flags, place).out.strip())


def _run(cli: Any, image: str, line: str) -> str:
    return str(cli("run", "--rm", "--network", "none", image, "sh", "-c", line).out)


def _files(cli: Any, image: str, place: str) -> list[str]:
    return _run(cli, image, f"cd {place} && find . ! -name . | sort").replace("./", "").split()


# -- COPY


def test_targets(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"one": "1", "a.txt": "a", "b.txt": "b", "d/x": "x", "d/e/y": "y"})
    (tmp_path / "d" / "link").symlink_to("x")
    (tmp_path / "d").chmod(0o700)
    (tmp_path / "d" / "e").chmod(0o710)
    image = _build(
        cli,
        tmp_path,
        f"FROM {busybox}\nWORKDIR /w\nCOPY one file\nCOPY one dir/\nCOPY one .\nCOPY *.txt no* t/\nCOPY d folder\n"
        'COPY d/link links/\nCOPY d/* flat/\nCOPY ["one", "with blank"]\nCOPY --chown=7:8 --chmod=640 d own/\n',
    )
    assert _files(cli, image, "/w") == [
        "dir", "dir/one", "file", "flat", "flat/link", "flat/x", "flat/y",
        "folder", "folder/e", "folder/e/y", "folder/link", "folder/x", "links", "links/link", "one",
        "own", "own/e", "own/e/y", "own/link", "own/x", "t", "t/a.txt", "t/b.txt", "with", "blank",
    ]  # fmt: skip
    shown = _run(cli, image, "stat -c '%n %a %u:%g' folder folder/e own own/e own/x own/link; cat links/link flat/link")
    assert shown.splitlines() == [
        "folder 755 0:0",  # a folder that is made for its content has the usual mode, as in Docker
        "folder/e 710 0:0",
        "own 755 7:8",
        "own/e 640 7:8",
        "own/x 640 7:8",
        "own/link 777 7:8",
        "xx",
    ]


def test_owners_by_name_and_what_is_none(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"one": "1"})
    image = _build(cli, tmp_path, f"FROM {busybox}\nCOPY --chown=daemon one /a\nCOPY --chown=daemon:root one /b/c/d\n")
    assert _run(cli, image, "stat -c %u:%g /a /b /b/c/d").split() == ["1:1", "1:0", "1:0"]
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nCOPY --chown=nosuch one /a\n")
    refused = cli("build", tmp_path, check=False)
    assert refused.code == 1 and "Dockerfile:2: unable to find user nosuch" in refused.err


def test_links_in_the_image_are_followed_inside_of_it(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"one": "1", "d/y": "y"})
    image = _build(
        cli,
        tmp_path,
        f"FROM {busybox}\nRUN mkdir /real; ln -s /real /ln; ln -s /real/new /lf; ln -s ../../made /dang; ln -s o /o\n"
        "COPY one /ln/\nCOPY d /ln\nCOPY one /lf\nCOPY d /dang\n",
    )
    assert _run(cli, image, "cd /real; ls; ls /made; readlink /ln; readlink /lf; readlink /dang").split() == [
        "new", "one", "y", "y", "/real", "/real/new", "../../made",
    ]  # fmt: skip
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nCOPY one /o\n")
    looped = cli("build", tmp_path, check=False)
    assert looped.code == 1 and "Dockerfile:2: COPY to /o: Too many levels of symbolic links" in looped.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY broken* /x/", "COPY: broken is not in the context"),
        ("COPY *.txt /x", "several files need a directory as target: /x/"),
        ("COPY one /bin/busybox/x", "COPY to /bin/busybox: Not a directory"),
        ("COPY d /bin/busybox", "COPY to /bin/busybox: Not a directory"),
        ("COPY d/x /bin", ""),
        ("COPY --from=none /x /y", "COPY --from=none: "),
    ],
)
def test_copies_that_cannot_be(cli: Any, busybox: str, tmp_path: Path, line: str, message: str) -> None:
    _write(tmp_path, {"one": "1", "a.txt": "", "b.txt": "", "d/x": "x"})
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\n{line}\n")
    done = cli("build", tmp_path, check=False)
    assert done.code == (1 if message else 0)
    assert not message or (done.err.count("lxcwrap: ") == 1 and f"Dockerfile:2: {message}" in done.err.splitlines()[-1])


def test_from_stages_indexes_and_images(cli: Any, busybox: str, tmp_path: Path) -> None:
    image = _build(
        cli,
        tmp_path,
        f"FROM {busybox} AS made\nRUN mkdir -m 700 /o && echo 1 >/o/a && chown 5:6 /o/a && ln -s a /o/l\n"
        f"FROM made\nRUN echo 2 >/o/b\nFROM {busybox}\nCOPY --from=1 /o /o\nCOPY --from=made o/l /l\n"
        f"COPY --from={busybox} /etc/passwd /pw\nCOPY --from=0 --chown=1:2 /o/* /g/\n",
    )
    shown = _run(cli, image, "stat -c '%n %u:%g %a %F' /o /o/* /l /g/*; cmp /pw /etc/passwd; cat /l")
    assert shown.splitlines() == [
        "/o 0:0 755 directory",
        "/o/a 5:6 644 regular file",
        "/o/b 0:0 644 regular file",
        "/o/l 0:0 777 symbolic link",
        "/l 5:6 644 regular file",
        "/g/a 1:2 644 regular file",
        "/g/l 1:2 644 regular file",
        "1",
    ]


def test_a_later_stage_can_be_copied_from_but_not_in_a_circle(cli: Any, busybox: str, tmp_path: Path) -> None:
    first = "FROM scratch AS a\nCOPY --from=b /etc/passwd /p\n"
    image = _build(cli, tmp_path, f"{first}FROM {busybox} AS b\nFROM b\nCOPY --from=a /p /q\n")
    assert _run(cli, image, "cmp /q /etc/passwd && echo same") == "same\n"
    (tmp_path / "Dockerfile").write_text(f"{first}FROM {busybox} AS b\nCOPY --from=a /p /q\n")
    failed = cli("build", tmp_path, check=False)
    assert failed.code == 1
    assert "Dockerfile:1: the stages need each other's files in a circle: a needs b needs a" in failed.err


def test_hard_links_stay_within_one_source(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"d/a": "linked", "d/c": "", "e/a": "replaced"})
    for name in ("d/b", "e/b", "f"):
        (tmp_path / name).hardlink_to(tmp_path / "d" / "a")
    image = _build(cli, tmp_path, f"FROM {busybox}\nCOPY d e f /x/\n")
    assert _run(cli, image, "cd /x; cat a b f; stat -c /%h a b f").split() == ["replacedlinkedlinked/1", "/1", "/1"]


# -- ADD


def test_archive_of_a_whole_root(cli: Any, busybox: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        for name in ("./", "./bin/", "./etc/"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        archive.add("/bin/busybox", "./bin/sh")
    image = _build(cli, tmp_path, "FROM scratch\nADD root.tar /\n")
    assert _run(cli, image, "echo /*").split() == ["/bin", "/dev", "/etc", "/proc", "/sys"]


def _archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("p/a")
        member.size, member.uid, member.gid, member.mode, member.mtime = 1, 5, 6, 0o640, 1500000000
        archive.addfile(member, io.BytesIO(b"A"))
    return packed.getvalue()


def test_archives_are_unpacked_whatever_compresses_them(
    cli: Any, busybox: str, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("zstd")
    plain = _archive()
    zstd = subprocess.run(["zstd", "-c"], input=plain, capture_output=True, check=True).stdout
    packed = {"gz": gzip.compress(plain), "bz2": bz2.compress(plain), "xz": lzma.compress(plain), "zst": zstd}
    _write(tmp_path, {"tar": plain, **packed, "text.gz": gzip.compress(b"no archive"), "bad.tar": "no archive"})
    lines = "".join(f"ADD {name} /{name}\n" for name in ("tar", *packed))
    image = _build(cli, tmp_path, f"FROM {busybox}\n{lines}ADD text.gz bad.tar /as-is/\nCOPY gz /copied/\n")
    shown = _run(cli, image, "stat -c '%a %u:%g %Y %s' /tar/p/a /gz/p/a /bz2/p/a /xz/p/a /zst/p/a; ls /as-is /copied")
    assert shown.splitlines() == ["640 5:6 1500000000 1"] * 5 + ["/as-is:", "bad.tar", "text.gz", "", "/copied:", "gz"]


class _Pages(http.server.BaseHTTPRequestHandler):
    """``/moved`` redirects; ``/old…`` has a Last-Modified; ``/cut`` promises more than it sends."""

    content = b"first"
    asked: ClassVar[list[tuple[str, int]]] = []

    def do_GET(self) -> None:
        code = {"/moved": 302, "/missing": 404, "/broken": 500}.get(self.path, 200)
        if self.headers.get("If-Modified-Since"):
            code = 304
        type(self).asked.append((self.path, code))
        body = self.content if code == 200 else b""
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) + (self.path == "/cut")))
        self.send_header("Location", "/old") if code == 302 else None
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT") if self.path.startswith("/old") else None
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def pages() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    _Pages.asked.clear()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_downloads(cli: Any, busybox: str, pages: str, tmp_path: Path) -> None:
    _Pages.content = gzip.compress(_archive())
    text = (
        f"FROM {busybox}\nARG at={pages}\nADD $at/old/a.tar.gz /d/\nADD $at/moved /d/\nADD $at/moved /file\n"
        "ADD --chown=7:8 --chmod=755 $at/sp%20ace?q=1 /d/\n"
    )
    image = _build(cli, tmp_path, text)
    shown = _run(cli, image, "stat -c '%n %a %u:%g' /d/* /file; stat -c %Y /d/a.tar.gz /file; cmp /file /d/moved")
    assert shown.splitlines() == [
        "/d/a.tar.gz 600 0:0",  # what comes from a URL stays as it is
        "/d/moved 600 0:0",
        "/d/sp ace 755 7:8",
        "/file 600 0:0",
        "1445412480",
        "1445412480",
    ]
    _Pages.asked.clear()
    assert _build(cli, tmp_path, text) == image
    assert ("/old/a.tar.gz", 304) in _Pages.asked  # asked whether it changed, not fetched again
    _Pages.content = b"second"
    assert _build(cli, tmp_path, text) != image


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/missing /x", "the server answered 404 Not Found"),
        ("/broken /x", "the server answered 500 Internal Server Error"),
        ("/cut /x", "the download was cut: "),
        ("/ /x/", "the URL ends without a file name"),
        (":1/x /x", ""),
    ],
)
def test_downloads_that_fail(cli: Any, busybox: str, pages: str, tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nADD {pages if message else 'http://127.0.0.1'}{path}\n")
    failed = cli("build", tmp_path, check=False)
    last = failed.err.splitlines()[-1]
    assert failed.code == 1 and last.startswith("lxcwrap: Dockerfile:2: ADD http://127.0.0.1:")
    assert (message or "Connection refused") in last and "Errno" not in last


# -- the context


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("*", ""),
        ("*\n!b.txt", "b.txt"),
        ("**\n!x/keep", "x x/keep"),
        ("d/*\n!d/e\nx\n*.*", "d d/e d/e/f.log d/e/g"),
        ("**/*.log\nx\nb.txt", "d d/e d/e/g"),
        ("d\n!d/k.log\nx\n*.*", "d d/k.log"),
        ("!b.txt\n*.*\nd\nx", ""),
    ],
)
def test_ignored_files(cli: Any, busybox: str, tmp_path: Path, rules: str, kept: str) -> None:
    _write(tmp_path, {"b.txt": "", "a.log": "", "d/k.log": "", "d/e/f.log": "", "d/e/g": "", "x/keep": ""})
    _write(tmp_path, {".dockerignore": f"{rules}\nDockerfile\n.dockerignore\n"})
    image = _build(cli, tmp_path, f"FROM {busybox}\nCOPY . /c/\n")
    assert _files(cli, image, "/c") == kept.split()


def test_sources_that_are_ignored_in_part(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"d/e/x": "", "d/e/y": "", "d/z": "", "secret": "", ".dockerignore": "d\n!d/e/x\nlink\n"})
    (tmp_path / "link").symlink_to("secret")
    image = _build(cli, tmp_path, f"FROM {busybox}\nCOPY d/e /one\nCOPY d/* l* s* /two/\n")
    assert _files(cli, image, "/one") == ["x"]
    assert _files(cli, image, "/two") == ["secret", "x"]


def test_a_dockerfiles_own_ignore_file_wins(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(
        tmp_path,
        {"o/D": f"FROM {busybox}\nCOPY . /c\n", "o/D.dockerignore": "b\no", ".dockerignore": "c", "b": "", "c": ""},
    )
    image = cli("build", "-q", "-f", tmp_path / "o" / "D", tmp_path).out.strip()
    assert _files(cli, image, "/c") == [".dockerignore", "c"]
