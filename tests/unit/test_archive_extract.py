"""Extraction of well-meant archives: what they hold arrives, whoever made them."""

from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from lxcwrap.archive.extract import Owners, extract
from lxcwrap.errors import Conflict, Corrupt, Unsafe
from tests.unit.tars import member, snapshot, tar

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: owners and devices")
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep


def unpack(content: bytes, place: Path, **options: object) -> int:
    place.mkdir(exist_ok=True)
    return extract(io.BytesIO(content), str(place), **options)  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A bit of everything."""
    root = tmp_path / "tree"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "su").write_bytes(b"\x7fELF" * 300)
    os.chown(root / "usr" / "bin" / "su", 0, 42)
    (root / "usr" / "bin" / "su").chmod(0o4755)
    os.link(root / "usr" / "bin" / "su", root / "usr" / "bin" / "sudo")
    (root / "usr" / "bin" / "ping").write_bytes(b"x")
    os.setxattr(root / "usr" / "bin" / "ping", "security.capability", CAPABILITY)
    os.setxattr(root / "usr" / "bin" / "ping", "user.note", b"a\0=b\nc")
    (root / "bin").symlink_to("usr/bin")
    (root / "abs").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (root / ("long" * 40)).write_bytes(b"long")
    (root / ("d" * 120)).mkdir()
    (root / ("d" * 120) / ("e" * 200)).symlink_to("t" * 300)
    (root / os.fsdecode(b"caf\xe9-\xff")).write_bytes(b"not UTF-8")
    (root / "größe").write_bytes(b"UTF-8")
    (root / "empty").mkdir(mode=0o1777)
    (root / "new\nline").write_bytes(b"")
    os.chown(root / "empty", 3_000_000, 4_000_000)
    os.utime(root / "usr", ns=(10**18, 10**18))
    return root


@pytest.mark.parametrize("form", ["gnu", "pax", "posix"])
def test_what_gnu_tar_writes_arrives(tree: Path, tmp_path: Path, form: str) -> None:
    attributes = ["--xattrs", "--xattrs-include=*"] if form != "gnu" else []
    made = subprocess.run(["tar", f"--format={form}", *attributes, "-C", tree, "-cf", "-", "."], stdout=-1, check=True)
    size = unpack(made.stdout, tmp_path / "out")
    assert size == len(made.stdout)
    before, after = snapshot(tree), snapshot(tmp_path / "out")
    if not attributes:
        before = {name: (*facts[:5], {}) for name, facts in before.items()}
    assert after == before
    assert int(os.stat(tmp_path / "out" / "usr").st_mtime) == 10**9


def test_ustar_prefix_is_joined(tmp_path: Path) -> None:
    name = "p" * 90 + "/" + "n" * 90
    content = tar(member(name, content=b"x"), form=tarfile.USTAR_FORMAT)
    assert content[345:435] == b"p" * 90
    unpack(content, tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == b"x"


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0", "gnu"])
def test_sparse_files(tmp_path: Path, version: str) -> None:
    source = tmp_path / "sparse"
    with open(source, "wb") as out:
        for offset in (0, 1 << 20, 5 << 20, 5 << 20 | 8192 * 3):
            out.seek(offset)
            out.write(b"data" * 700)
        out.truncate(9 << 20)
    form = ["--format=gnu"] if version == "gnu" else ["--format=pax", f"--sparse-version={version}"]
    made = subprocess.run(["tar", "-S", *form, "-C", tmp_path, "-cf", "-", "sparse"], stdout=-1, check=True).stdout
    assert len(made) < 1 << 20, "tar did not write it as sparse"
    unpack(made + b"", tmp_path / "out")
    result = tmp_path / "out" / "sparse"
    assert result.read_bytes() == source.read_bytes()
    assert result.stat().st_blocks * 512 < 1 << 20


def test_many_sparse_pieces(tmp_path: Path) -> None:
    """More than fit the header: GNU's extension blocks."""
    source = tmp_path / "sparse"
    with open(source, "wb") as out:
        for number in range(200):
            out.seek(number * 65536)
            out.write(bytes([number]) * 4096)
    made = subprocess.run(["tar", "-S", "--format=gnu", "-C", tmp_path, "-cf", "-", "sparse"], stdout=-1, check=True)
    unpack(made.stdout, tmp_path / "out")
    assert (tmp_path / "out" / "sparse").read_bytes() == source.read_bytes()


def test_later_entries_replace_earlier_ones(tmp_path: Path) -> None:
    content = tar(
        member("a", content=b"one"),
        member("b", tarfile.LNKTYPE, linkname="a"),
        member("a", content=b"two"),
        member("c", tarfile.DIRTYPE),
        member("c/x", content=b"gone"),
        member("c", content=b"a file now"),
        member("d", content=b"a directory soon"),
        member("d", tarfile.DIRTYPE, mode=0o700),
        member("d/y", content=b"y"),
    )
    unpack(content, tmp_path / "out")
    found = {name: facts[4] for name, facts in snapshot(tmp_path / "out").items()}
    assert found == {"a": b"two", "b": b"one", "c": b"a file now", "d": None, "d/y": b"y"}


def test_a_directory_named_twice_keeps_what_is_in_it(tmp_path: Path) -> None:
    content = tar(
        member("d", tarfile.DIRTYPE, mode=0o700), member("d/x", content=b"x"), member("d", tarfile.DIRTYPE, mode=0o750)
    )
    unpack(content, tmp_path / "out")
    assert (tmp_path / "out" / "d" / "x").read_bytes() == b"x"
    assert stat.S_IMODE((tmp_path / "out" / "d").stat().st_mode) == 0o750


def test_missing_directories_are_made_alike_every_time(tmp_path: Path) -> None:
    content = tar(member("a/b/c", content=b"x"))
    unpack(content, tmp_path / "out")
    for path in ("a", "a/b"):
        status = (tmp_path / "out" / path).stat()
        assert (status.st_mtime, stat.S_IMODE(status.st_mode), status.st_uid) == (0, 0o755, 0)


def test_the_root_entry_dresses_the_root(tmp_path: Path) -> None:
    unpack(tar(member("./", tarfile.DIRTYPE, mode=0o555, mtime=7)), tmp_path / "out")
    status = (tmp_path / "out").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o555, 7)


def test_ids_are_shifted_and_fixed(tmp_path: Path) -> None:
    content = tar(
        member("a", uid=5, gid=6), member("d", tarfile.DIRTYPE), member("l", tarfile.SYMTYPE, linkname="a", uid=1)
    )
    unpack(content, tmp_path / "one", owners=Owners(id_base=100_000))
    unpack(content, tmp_path / "two", owners=Owners(id_base=100_000, fixed=(7, 8)))
    owners = {name: facts[1:3] for name, facts in snapshot(tmp_path / "one").items()}
    assert owners == {"a": (100_005, 100_006), "d": (100_000, 100_000), "l": (100_001, 100_000)}
    assert {facts[1:3] for facts in snapshot(tmp_path / "two").values()} == {(100_007, 100_008)}
    with pytest.raises(Unsafe, match="outside the 65536 ids"):
        unpack(tar(member("a", uid=65536)), tmp_path / "three", owners=Owners(id_base=100_000))


def test_capabilities_get_the_root_of_the_namespace(tmp_path: Path) -> None:
    content = tar(
        member("ping", content=b"x", pax_headers={"SCHILY.xattr.security.capability": CAPABILITY.decode("latin1")})
    )
    unpack(content, tmp_path / "plain")
    unpack(content, tmp_path / "mapped", owners=Owners(id_base=100_000))
    assert os.getxattr(tmp_path / "plain" / "ping", "security.capability") == CAPABILITY
    mapped = os.getxattr(tmp_path / "mapped" / "ping", "security.capability")
    assert mapped[:4] == b"\x01\0\0\3" and struct.unpack("<I", mapped[20:]) == (100_000,)


def test_without_replace_kinds_do_not_change(tmp_path: Path) -> None:
    (tmp_path / "out" / "d").mkdir(parents=True)
    (tmp_path / "out" / "d" / "kept").write_bytes(b"")
    (tmp_path / "out" / "f").write_bytes(b"old")
    for content in (tar(member("d", content=b"x")), tar(member("f", tarfile.DIRTYPE))):
        with pytest.raises(Conflict, match="cannot overwrite"):
            unpack(content, tmp_path / "out", replace=False)
    unpack(tar(member("f", content=b"new"), member("d", tarfile.DIRTYPE)), tmp_path / "out", replace=False)
    assert (tmp_path / "out" / "f").read_bytes() == b"new"
    assert (tmp_path / "out" / "d" / "kept").exists()


def test_an_empty_archive_is_one_and_nothing_is_none(tmp_path: Path) -> None:
    assert unpack(bytes(1024), tmp_path / "out") == 1024
    assert snapshot(tmp_path / "out") == {}
    with pytest.raises(Corrupt, match="empty"):
        unpack(b"", tmp_path / "out")


def test_what_follows_the_end_is_read(tmp_path: Path) -> None:
    content = tar(member("a", content=b"x")) + b"rubbish" * 1000
    assert unpack(content, tmp_path / "out") == len(content)


@pytest.mark.parametrize("pieces", [1, 7, 511, 513, 100_000])
def test_any_size_of_reads(tree: Path, tmp_path: Path, pieces: int) -> None:
    """A stream may give less than was asked for, cut anywhere."""
    made = subprocess.run(["tar", "--format=pax", "-C", tree, "-cf", "-", "."], stdout=-1, check=True).stdout
    if pieces == 1:
        made = tar(member("a" * 150, content=b"x" * 700), member("b"))

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(pieces)

    (tmp_path / "out").mkdir()
    assert extract(Slow(made), str(tmp_path / "out")) == len(made)
    assert len(snapshot(tmp_path / "out")) >= 2


def test_ns_times_of_pax(tmp_path: Path) -> None:
    unpack(tar(member("a", pax_headers={"mtime": "1234567890.123456789"})), tmp_path / "out")
    assert (tmp_path / "out" / "a").stat().st_mtime_ns == 1234567890123456789
    unpack(tar(member("b", pax_headers={"mtime": "-2.5"})), tmp_path / "out")
    assert (tmp_path / "out" / "b").stat().st_mtime_ns == -2_500_000_000
