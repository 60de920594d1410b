"""Storage drivers on the real kernel: what a container does to its files, as changes and as a layer."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from lxcwrap.errors import Conflict, Unsupported, UsageError
from lxcwrap.kernel import mount
from lxcwrap.storage import aufs, driver, layers, overlay, vfs
from lxcwrap.store.database import Store
from tests.unit.tars import member, snapshot, tar

BASE = 1_000_000_000
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
LOWER = tar(
    member("etc", tarfile.DIRTYPE),
    member("etc/passwd", content=b"root"),
    member("etc/shadow", content=b"secret", mode=0o600, uid=5, gid=6),
    member("etc/conf", tarfile.DIRTYPE),
    member("etc/conf/a", content=b"a"),
    member("etc/conf/b", content=b"b"),
    member("bin", tarfile.DIRTYPE),
    member("bin/su", content=b"su", mode=0o4755),
    member("old", tarfile.DIRTYPE),
    member("old/file", content=b"x"),
    member("link", tarfile.SYMTYPE, linkname="/etc/passwd"),
)
KINDS = {"overlay": overlay, "classic": overlay, "vfs": vfs}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if request.param == "classic":  # what kernels before 6.5 take

        def refuse(*_: object) -> None:
            raise OSError(22, "no lowerdir+")

        monkeypatch.setattr(overlay, "_mount_new", refuse)
    return KINDS[request.param]


@pytest.fixture(params=[None, BASE], ids=["host", "userns"])
def id_base(request: pytest.FixtureRequest) -> int | None:
    value: int | None = request.param
    return value


def mounted(kind: ModuleType, place: str, lowers: tuple[str, ...], id_base: int | None) -> Path:
    kind.prepare(place, lowers, id_base)
    kind.mount(place, lowers, f"{place}/rootfs", id_base)
    return Path(place, "rootfs")


def change_things(root: Path, id_base: int | None) -> None:
    """What a container might do; owners are those on the host."""
    base = id_base or 0
    (root / "etc" / "new").write_bytes(b"new")
    os.chown(root / "etc" / "new", base + 7, base + 8)
    (root / "etc" / "passwd").unlink()
    (root / "etc" / "shadow").write_bytes(b"changed")
    shutil.rmtree(root / "old")
    shutil.rmtree(root / "etc" / "conf")
    (root / "etc" / "conf").mkdir()
    os.chown(root / "etc" / "conf", base, base)
    (root / "etc" / "conf" / "b").write_bytes(b"new b")
    os.chown(root / "etc" / "conf" / "b", base, base)
    (root / "bin" / "ping").write_bytes(b"ping")
    os.chown(root / "bin" / "ping", base, base)
    os.setxattr(root / "bin" / "ping", "security.capability", CAPABILITY)
    (root / "bin" / "sudo").write_bytes(b"sudo")
    os.chown(root / "bin" / "sudo", base, base + 9)
    (root / "bin" / "sudo").chmod(0o6755)
    os.symlink("sudo", root / "bin" / "doas")
    os.chown(root / "bin" / "doas", base, base, follow_symlinks=False)
    for path in ("proc", "dev", "dev/pts"):
        (root / path).mkdir()
    (root / "etc" / "hosts").touch()


EXPECTED = [
    ("/bin", "C"), ("/bin/doas", "A"), ("/bin/ping", "A"), ("/bin/sudo", "A"), ("/etc", "C"), ("/etc/conf", "C"),
    ("/etc/conf/a", "D"), ("/etc/conf/b", "C"), ("/etc/new", "A"), ("/etc/passwd", "D"), ("/etc/shadow", "C"),
    ("/old", "D"),
]  # fmt: skip


def test_changes_become_a_layer(
    store: Store, place: str, kind: ModuleType, id_base: int | None, tmp_path: Path
) -> None:
    lower = layers.add_stream(store, kind, io.BytesIO(LOWER), None)
    lowers = layers.lowers(store, lower.chain_id)
    root = mounted(kind, place, lowers, id_base)
    assert (root / "etc" / "shadow").stat().st_uid == (id_base or 0) + 5
    assert list(kind.changes(place, lowers, id_base)) == []
    change_things(root, id_base)
    assert [tuple(change) for change in kind.changes(place, lowers, id_base)] == EXPECTED

    out = io.BytesIO()
    kind.write_diff(place, lowers, id_base, out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        found = {info.name: info for info in archive}
    names = set(found)
    assert {"etc/new", "etc/.wh.passwd", ".wh.old", "etc/conf/b", "bin/sudo"} <= names
    assert not names & {"proc", "dev", "dev/pts", "etc/hosts", "etc/.wh.hosts"}
    assert "etc/conf/.wh..wh..opq" in names or "etc/conf/.wh.a" in names
    assert (found["etc/new"].uid, found["etc/new"].gid, found["bin/sudo"].mode) == (7, 8, 0o6755)
    assert (
        found["bin/ping"].pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape")
        == CAPABILITY
    )

    merged = snapshot(root)
    if kind is not vfs:
        mount.umount(f"{place}/rootfs")
    upper = layers.add_sealed(store, kind, place, lowers, id_base, lower.chain_id)
    assert upper.size == len(out.getvalue())
    os.makedirs(f"{tmp_path}/second/rootfs")
    again = mounted(kind, f"{tmp_path}/second", layers.lowers(store, upper.chain_id), id_base)
    made = {"proc", "dev", "dev/pts", "etc/hosts"}
    assert {name: facts[:5] for name, facts in snapshot(again).items()} == {
        name: facts[:5] for name, facts in merged.items() if name not in made
    }
    with layers.tar(store, kind, upper) as stream:
        pieces = b""
        while piece := stream.read(100):
            pieces += piece
    assert pieces == out.getvalue()


def test_a_layer_has_one_diff_id_with_every_driver(store: Store, tmp_path: Path) -> None:
    """Whatever the form of its whiteouts on disk."""
    content = tar(
        member("b", tarfile.DIRTYPE, mtime=1),
        member("b/.wh..wh..opq"),
        member("b/-first", content=b"x", mtime=2),
        member("b/.wh.gone"),
        member("b/zz", content=b"z", mtime=3),
        member(".wh.removed"),
        member("a", content=b"a", mtime=4),
        member("c", tarfile.LNKTYPE, linkname="a"),
    )
    written = []
    for number, kind in enumerate((overlay, aufs, vfs)):
        staged = tmp_path / str(number)
        staged.mkdir()
        assert kind.extract(io.BytesIO(content), str(staged)) == len(content)
        out = io.BytesIO()
        kind.write_layer(f"{staged}/diff", out)
        written.append(out.getvalue())
    assert written[0] == written[1] == written[2]
    with tarfile.open(fileobj=io.BytesIO(written[0])) as archive:
        assert archive.getnames() == ["a", "b", "b/.wh..wh..opq", "b/-first", "b/.wh.gone", "b/zz", "c", ".wh.removed"]
    (tmp_path / "again").mkdir()
    overlay.extract(io.BytesIO(written[0]), str(tmp_path / "again"))
    out = io.BytesIO()
    overlay.write_layer(f"{tmp_path}/again/diff", out)
    assert out.getvalue() == written[0]


def test_a_directory_made_anew_is_opaque(store: Store, tmp_path: Path) -> None:
    """A whiteout and a directory of the same name in one layer, in either order."""
    for number, members in enumerate(
        ([member(".wh.d"), member("d", tarfile.DIRTYPE)], [member("d", tarfile.DIRTYPE), member(".wh.d")])
    ):
        staged = tmp_path / str(number)
        (staged / "plain").mkdir(parents=True)
        overlay.extract(io.BytesIO(tar(*members)), str(staged))
        assert os.getxattr(staged / "diff" / "d", "trusted.overlay.opaque") == b"y"
        (staged / "a").mkdir()
        aufs.extract(io.BytesIO(tar(*members)), str(staged / "a"))
        assert (staged / "a" / "diff" / "d" / ".wh..wh..opq").exists()
        assert not (staged / "a" / "diff" / ".wh.d").exists()


def test_a_whiteout_gives_way_to_a_file(tmp_path: Path) -> None:
    overlay.extract(io.BytesIO(tar(member(".wh.f"), member("f", content=b"x"))), str(tmp_path))
    assert (tmp_path / "diff" / "f").read_bytes() == b"x"


def test_quiet_changes_are_seen(store: Store, place: str, kind: ModuleType) -> None:
    """The same size and time with other bytes; an attribute alone."""
    lower = layers.add_stream(store, kind, io.BytesIO(LOWER), None)
    lowers = layers.lowers(store, lower.chain_id)
    root = mounted(kind, place, lowers, None)
    before = (root / "etc" / "passwd").stat()
    (root / "etc" / "passwd").write_bytes(b"toor")
    os.utime(root / "etc" / "passwd", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.setxattr(root / "bin" / "su", "user.note", b"1")
    os.close(os.open(root / "etc" / "conf" / "a", os.O_RDWR))  # copied up, not changed
    found = [tuple(change) for change in kind.changes(place, lowers, None)]
    assert found == [("/bin", "C"), ("/bin/su", "C"), ("/etc", "C"), ("/etc/passwd", "C")]


@pytest.mark.parametrize("id_base", [None, BASE], ids=["host", "userns"])
@pytest.mark.parametrize("classic", [False, True], ids=["lowerdir+", "classic"])
def test_120_layers(
    store: Store, place: str, id_base: int | None, classic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if classic:
        monkeypatch.setattr(overlay, "_mount_new", lambda *_: (_ for _ in ()).throw(OSError(38, "no fsopen")))
    chain = None
    for number in range(120):
        content = tar(member(f"f{number}", content=str(number).encode()), member("last", content=str(number).encode()))
        chain = layers.add_stream(store, overlay, io.BytesIO(content), chain).chain_id
    lowers = layers.lowers(store, chain)
    assert len(lowers) == 120
    root = mounted(overlay, place, lowers, id_base)
    assert len(os.listdir(root)) == 121
    assert (root / "last").read_bytes() == b"119" and (root / "f0").read_bytes() == b"0"
    assert (root / "f60").stat().st_uid == (id_base or 0)
    (root / "made").write_bytes(b"")
    mount.umount(str(root))
    overlay.mount(place, lowers, str(root), id_base)
    assert (root / "made").exists()


def test_no_layers_and_long_paths(store: Store, tmp_path: Path) -> None:
    place = tmp_path / ("p" * 120) / ("q" * 120)
    (place / "rootfs").mkdir(parents=True)
    root = mounted(overlay, str(place), (), BASE)
    (root / "x").write_bytes(b"x")
    assert [tuple(change) for change in overlay.changes(str(place), (), BASE)] == [("/x", "A")]


def test_a_volatile_overlay_can_be_mounted_again(store: Store, place: str) -> None:
    overlay.prepare(place, (), None)
    for _ in range(2):
        overlay.mount(place, (), f"{place}/rootfs", None, volatile=True)
        mount.umount(f"{place}/rootfs")


def test_layers_do_not_change(store: Store, place: str, kind: ModuleType, id_base: int | None) -> None:
    lower = layers.add_stream(store, kind, io.BytesIO(LOWER), None)
    (directory,) = layers.lowers(store, lower.chain_id)
    before = snapshot(directory)
    change_things(mounted(kind, place, (directory,), id_base), id_base)
    assert snapshot(directory) == before


def test_times_are_capped(store: Store, place: str) -> None:
    root = mounted(overlay, place, (), None)
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"x")
    layer = layers.add_sealed(store, overlay, place, (), None, None, latest=1000)
    with layers.tar(store, overlay, layer) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        assert {info.mtime for info in archive} == {1000}


def test_the_driver_is_chosen_once(store: Store) -> None:
    assert driver.names() == ("overlay", "aufs", "vfs")
    chosen = driver.choose(store, None)
    assert driver.name_of(chosen) == "overlay"
    assert driver.choose(store, "overlay") is chosen
    with pytest.raises(Conflict, match="uses the storage driver overlay, not vfs"):
        driver.choose(store, "vfs")
    with pytest.raises(UsageError, match="no storage driver 'zfs'"):
        driver.choose(store, "zfs")


def test_vfs_on_request(store: Store) -> None:
    assert driver.choose(store, "vfs") is vfs
    assert driver.choose(store, None) is vfs


def test_aufs_says_why_not(store: Store) -> None:
    with open("/proc/filesystems") as stream:
        if "aufs" in stream.read():
            pytest.skip("this kernel has aufs")
    assert aufs.unsupported() == "this kernel has no aufs"
    with pytest.raises(Unsupported, match="aufs: this kernel has no aufs"):
        driver.choose(store, "aufs")


def test_aufs_is_chosen_where_overlay_is_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "unsupported", lambda directory="": "this kernel has no overlay")
    monkeypatch.setattr(aufs, "unsupported", lambda directory="": "")
    assert driver.choose(store, None) is aufs


def test_aufs_branches_fit_their_pages() -> None:
    lowers = tuple(f"/var/lib/lxcwrap/layers/{number:064d}/diff" for number in range(120))
    found = aufs.options("/c", lowers)
    assert all(len(part) < 4096 for part in found) and len(found) > 1
    branches = ",".join(found).replace(",append:", ":").replace("append:", ":").split(":")
    assert [branch.removesuffix("=ro+wh") for branch in branches if branch.endswith("=ro+wh")] == list(reversed(lowers))


def test_aufs_form_on_plain_directories(store: Store, place: str) -> None:
    """What AUFS would leave in its writable branch, made by hand."""
    lower = layers.add_stream(store, aufs, io.BytesIO(LOWER), None)
    lowers = layers.lowers(store, lower.chain_id)
    aufs.prepare(place, lowers, None)
    upper = Path(place, "upper")
    for name in (".wh..wh.aufs", ".wh.old", ".wh.never"):
        (upper / name).touch()
    (upper / ".wh..wh.plnk").mkdir()
    (upper / ".wh..wh.plnk" / "7.8").touch()
    (upper / "etc" / "conf").mkdir(parents=True)
    (upper / "etc" / ".wh.passwd").touch()
    (upper / "etc" / "new").write_bytes(b"new")
    (upper / "etc" / "conf" / ".wh..wh..opq").touch()
    (upper / "etc" / "conf" / "b").write_bytes(b"bb")
    expected = [
        ("/etc", "C"), ("/etc/conf", "C"), ("/etc/conf/a", "D"), ("/etc/conf/b", "C"), ("/etc/new", "A"),
        ("/etc/passwd", "D"), ("/old", "D"),
    ]  # fmt: skip
    assert [tuple(change) for change in aufs.changes(place, lowers, None)] == expected
    out = io.BytesIO()
    aufs.write_diff(place, lowers, None, out)
    sealed = layers.add_sealed(store, aufs, place, lowers, None, lower.chain_id)
    assert sealed.size == len(out.getvalue())
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        names = archive.getnames()
    assert not [name for name in names if "aufs" in name or "plnk" in name]
    assert {".wh.never", ".wh.old", "etc/.wh.passwd", "etc/conf/.wh..wh..opq"} <= set(names)
    top = os.listdir(layers.lowers(store, sealed.chain_id)[-1])
    assert ".wh..wh.aufs" not in top and ".wh..wh.plnk" not in top


def test_files_named_like_whiteouts_cannot_be_stored(store: Store, place: str) -> None:
    from lxcwrap.errors import Unsafe

    root = mounted(overlay, place, (), None)
    (root / ".wh.x").write_bytes(b"")
    with pytest.raises(Unsafe, match="names that begin with"):
        overlay.write_diff(place, (), None, io.BytesIO())


def test_devices_of_a_container_are_refused_in_layers(store: Store) -> None:
    from lxcwrap.errors import Unsafe

    content = tar(member("sda", tarfile.BLKTYPE, devmajor=8))
    with pytest.raises(Unsafe, match="block device 8:0"):
        layers.add_stream(store, overlay, io.BytesIO(content), None)
    assert os.listdir(f"{store.paths.root}/layers") == [] and os.listdir(store.paths.staging) == []


def test_special_modes_survive_taking_ids_back(store: Store, place: str) -> None:
    root = mounted(overlay, place, (), BASE)
    (root / "f").write_bytes(b"x")
    os.chown(root / "f", BASE + 1, BASE + 2)
    (root / "f").chmod(0o6711)
    os.setxattr(root / "f", "security.capability", b"\x01\0\0\3" + CAPABILITY[4:] + struct.pack("<I", BASE))
    mount.umount(f"{place}/rootfs")
    layer = layers.add_sealed(store, overlay, place, (), BASE, None)
    stored = Path(layers.lowers(store, layer.chain_id)[0], "f")
    status = stored.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1, 2, 0o6711)
    assert os.getxattr(stored, "security.capability") == CAPABILITY
