"""Archives that mean harm: nothing outside the directory is touched, and one line says why."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lxcwrap.archive import compression
from lxcwrap.archive.extract import extract
from lxcwrap.archive.reader import Limits
from lxcwrap.archive.whiteouts import Form
from lxcwrap.errors import Corrupt, LxcwrapError, Unsafe
from tests.unit.tars import member, snapshot, tar

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: owners and devices")


@pytest.fixture
def prison(tmp_path: Path) -> Path:
    """A directory to extract into, beside things that must stay as they are."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "prison").mkdir()
    return tmp_path / "prison"


def attack(prison: Path, *members: tuple[tarfile.TarInfo, bytes], form: Form = Form.OVERLAY) -> None:
    outside = {name: facts for name, facts in snapshot(prison.parent).items() if not name.startswith("prison")}
    try:
        extract(io.BytesIO(tar(*members)), str(prison), whiteouts=form)
    finally:
        after = {name: facts for name, facts in snapshot(prison.parent).items() if not name.startswith("prison")}
        assert after == outside


CLIMBING = ["..", "../secret", "a/../../secret", "/../secret", "./../x", "a/..", "..//x", "a/b/../../../secret"]


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_names_that_climb_out(prison: Path, name: str, kind: bytes) -> None:
    with pytest.raises(Unsafe, match="climbs out"):
        attack(prison, member(name, kind, linkname="x" if kind == tarfile.SYMTYPE else ""))


@pytest.mark.parametrize("target", [*CLIMBING, "missing", "/etc/passwd", "../outside"])
def test_hard_links_to_outside(prison: Path, target: str) -> None:
    with pytest.raises(Unsafe):
        attack(prison, member("link", tarfile.LNKTYPE, linkname=target))
    assert not (prison / "link").exists()


def test_absolute_names_are_beneath(prison: Path) -> None:
    attack(prison, member("/etc/passwd", content=b"mine"), member("//x", content=b"x"))
    assert (prison / "etc" / "passwd").read_bytes() == b"mine"
    assert (prison / "x").read_bytes() == b"x"


@pytest.mark.parametrize("target", ["..", "/", "../outside", "{outside}", "../../../../../../{outside}"])
def test_writing_through_a_link(prison: Path, target: str) -> None:
    """The link is kept as it is; what goes through it stays beneath the root, or is refused."""
    target = target.format(outside=prison.parent / "outside")
    try:
        attack(
            prison,
            member("link", tarfile.SYMTYPE, linkname=target),
            member("link/file", content=b"written"),
            member("link/sub", tarfile.DIRTYPE),
            member("link/sub/file", content=b"written"),
        )
    except Unsafe as error:
        assert "link" in error.message
    assert os.readlink(prison / "link") == target


def test_writing_onto_a_link_replaces_it(prison: Path) -> None:
    secret = str(prison.parent / "secret")
    attack(prison, member("a", tarfile.SYMTYPE, linkname=secret), member("a", content=b"mine"))
    assert (prison / "a").read_bytes() == b"mine" and not (prison / "a").is_symlink()
    outside = str(prison.parent / "outside")
    attack(prison, member("d", tarfile.SYMTYPE, linkname=outside), member("d", tarfile.DIRTYPE), member("d/x"))
    assert not (prison / "d").is_symlink() and (prison / "d" / "x").exists()


def test_a_hard_link_to_a_link_is_the_link(prison: Path) -> None:
    secret = str(prison.parent / "secret")
    attack(
        prison,
        member("a", tarfile.SYMTYPE, linkname=secret),
        member("b", tarfile.LNKTYPE, linkname="a"),
        member("b", content=b"x"),
    )
    assert (prison / "b").read_bytes() == b"x"


def test_a_hard_link_through_a_link_to_outside(prison: Path) -> None:
    with pytest.raises(Unsafe, match="not in the archive"):
        attack(
            prison,
            member("up", tarfile.SYMTYPE, linkname=".."),
            member("b", tarfile.LNKTYPE, linkname="up/secret"),
        )


def test_a_directory_swapped_for_a_link_between_entries(prison: Path) -> None:
    """Directories kept open from before must not be used after they were replaced."""
    outside = str(prison.parent / "outside")
    with pytest.raises(Unsafe):
        attack(
            prison,
            member("d", tarfile.DIRTYPE),
            member("d/one", content=b"1"),
            member("d", tarfile.SYMTYPE, linkname=outside),
            member("d/two", content=b"2"),
        )
    assert (prison / "d").is_symlink()


def test_link_loops_end(prison: Path) -> None:
    with pytest.raises(Unsafe):
        attack(
            prison,
            member("a", tarfile.SYMTYPE, linkname="b"),
            member("b", tarfile.SYMTYPE, linkname="a"),
            member("a/x", content=b"x"),
        )


@pytest.mark.parametrize(
    "device", [(tarfile.BLKTYPE, 8, 0), (tarfile.CHRTYPE, 1, 1), (tarfile.CHRTYPE, 10, 229), (tarfile.CHRTYPE, 0, 0)]
)
def test_devices_beyond_the_usual_are_refused(prison: Path, device: tuple[bytes, int, int]) -> None:
    kind, major, minor = device
    with pytest.raises(Unsafe, match=f"device {major}:{minor}"):
        attack(prison, member("dev/x", kind, devmajor=major, devminor=minor))


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh...", "d/.wh.."])
@pytest.mark.parametrize("form", [Form.OVERLAY, Form.AUFS])
def test_whiteouts_of_parents(prison: Path, name: str, form: Form) -> None:
    with pytest.raises(Unsafe, match="hides its parent"):
        attack(prison, member("d", tarfile.DIRTYPE), member(name), form=form)


def test_a_whiteout_of_a_directory_by_another_name(prison: Path) -> None:
    attack(
        prison, member("a", tarfile.SYMTYPE, linkname="."), member("b/c", tarfile.DIRTYPE), member("a/.wh.b"),
        form=Form.APPLIED,
    )  # fmt: skip
    assert not (prison / "b" / "c").exists()


def test_whiteouts_act_beneath_only(prison: Path) -> None:
    outside = str(prison.parent)
    with pytest.raises(Unsafe):
        attack(prison, member("up", tarfile.SYMTYPE, linkname=outside), member("up/.wh.secret"))
    with pytest.raises(Unsafe):
        attack(prison, member("up/.wh..wh..opq"))


@pytest.mark.parametrize("name", ["trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.overlay.metacopy",
                                  "user.overlay.opaque", "security.selinux", "system.posix_acl_access",
                                  "user.a\0b"])  # fmt: skip
def test_attributes_that_overlay_or_the_kernel_believe_stay_out(prison: Path, name: str) -> None:
    headers = {f"SCHILY.xattr.{name}": "y", "SCHILY.xattr.user.fine": "1"}
    attack(prison, member("d", tarfile.DIRTYPE, pax_headers=headers), member("f", pax_headers=headers))
    for path in ("d", "f"):
        assert os.listxattr(prison / path) == ["user.fine"]


def test_caps(prison: Path) -> None:
    many = tar(*(member(f"f{number}") for number in range(20)))
    big = tar(member("big", content=bytes(100_000)))
    header = tar(member("x", pax_headers={"comment": "c" * 5000}))
    for content, limits, words in (
        (many, Limits(entries=10), "more than 10 entries"),
        (big, Limits(size=50_000), "larger than"),
        (header, Limits(header=1000), "extended header"),
        (tar(member("n" * 300)), Limits(name=200), "too long"),
    ):
        with pytest.raises(Unsafe, match=words):
            extract(io.BytesIO(content), str(prison), limits=limits)


def test_a_sparse_file_cannot_claim_more_than_the_cap(prison: Path) -> None:
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "x",
        "GNU.sparse.realsize": str(1 << 50),
    }
    content = b"1\n0\n0\n".ljust(512, b"\0")
    with pytest.raises(Unsafe, match="are more than"):
        attack(prison, member("x", content=content, pax_headers=headers))


@pytest.mark.parametrize("pairs", [b"1\n0\n5\n", b"2\n100\n1\n0\n1\n", b"x\n", b"1\n", b"1\n999\n2\n"])
def test_broken_sparse_maps(prison: Path, pairs: bytes) -> None:
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x", "GNU.sparse.realsize": "1000"}
    with pytest.raises(Corrupt):
        attack(prison, member("x", content=pairs.ljust(512, b"\0") + b"12", pax_headers=headers))


@pytest.mark.parametrize("cut", [1, 511, 512, 600, 1023])
def test_cut_streams(prison: Path, cut: int) -> None:
    content = tar(member("file", content=bytes(2000)))
    with pytest.raises(Corrupt):
        extract(io.BytesIO(content[:cut] if cut != 512 else content[:512]), str(prison))


def test_not_a_tar(prison: Path) -> None:
    with pytest.raises(Corrupt, match="not a tar archive"):
        extract(io.BytesIO(b"#!/bin/sh\n" * 200), str(prison))


NAMES = st.sampled_from(["a", "b", "a/b", "../a", "a/../../x", "/abs", "./a", "l", "l/x", "l/../x", ".wh.a", "a/.wh.b",
                         "a/.wh..wh..opq", ".wh..", "d/d/d"])  # fmt: skip
TARGETS = st.sampled_from(["..", "/", "a", "l", "../secret", "/etc/passwd", "../../..", "a/b", "", "."])
KINDS = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
MEMBERS = st.lists(
    st.builds(
        lambda name, kind, target: member(name, kind, linkname=target, devmajor=1, devminor=3), NAMES, KINDS, TARGETS
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=MEMBERS, form=st.sampled_from(Form))
def test_no_sequence_of_entries_gets_out(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[tarfile.TarInfo, bytes]], form: Form
) -> None:
    place = tmp_path_factory.mktemp("hostile")
    (place / "secret").write_bytes(b"secret")
    (place / "prison").mkdir()
    try:
        attack(place / "prison", *members, form=form)
    except LxcwrapError as error:
        assert "\n" not in error.message


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_are_met_with_our_own_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(
        tar(
            member("a" * 120, content=b"x" * 600, pax_headers={"SCHILY.xattr.user.a": "b"}),
            member("l", tarfile.SYMTYPE, linkname="a"),
            member("d", tarfile.DIRTYPE),
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 4 * 512))] = data.draw(st.integers(0, 255))
    place = tmp_path_factory.mktemp("flipped")
    try:
        extract(io.BytesIO(bytes(content)), str(place), limits=Limits(size=1 << 20))
    except (Corrupt, Unsafe):
        pass


def test_decompression_bombs_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    zstandard = pytest.importorskip("zstandard")
    monkeypatch.setattr(compression, "RATIO_FREE", 1 << 20)
    bomb = zstandard.ZstdCompressor().compress(bytes(200 << 20))
    stream = compression.reader(io.BytesIO(bomb))
    with pytest.raises(Unsafe, match="more than 1100 times"):
        while stream.read(1 << 20):
            pass
