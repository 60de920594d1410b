"""The thin wrappers: paths beneath a root, id maps, mount namespaces, file owners."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from lxcwrap.errors import Unsupported
from lxcwrap.kernel import beneath, idmap, mount, process


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_bytes(b"outside")
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    (inside / "etc" / "passwd").write_bytes(b"inside")
    (inside / "up").symlink_to("../../../../etc/passwd")
    (inside / "abs").symlink_to("/etc/passwd")
    (inside / "dir").symlink_to("/etc")
    return inside


@pytest.mark.parametrize("path", ["/etc/passwd", "etc/passwd", "up", "abs", "dir/passwd", "../../../etc/passwd"])
def test_links_and_dots_stay_beneath(root: Path, path: str) -> None:
    assert beneath.read_file(str(root), path) == b"inside"


def test_what_is_not_a_file_is_not_read(root: Path) -> None:
    os.mkfifo(root / "pipe")
    for path in ("pipe", "etc"):
        with pytest.raises(OSError):
            beneath.read_file(str(root), path)
    (root / "magic").symlink_to("/proc/self/root/etc/passwd")
    with pytest.raises(OSError):
        beneath.read_file("/", f"{root}/magic")


def test_directories_are_made_beneath(root: Path) -> None:
    holder = beneath.open_root(str(root))
    made = beneath.make_directories(holder, "/dir/a/../b//c", 5, 6, 0o750)
    status = os.fstat(made)
    os.close(made)
    os.close(holder)
    assert (root / "etc" / "b" / "c").is_dir() and (status.st_uid, status.st_gid, status.st_mode & 0o777) == (
        5,
        6,
        0o750,
    )


def test_trees_are_removed_without_following(root: Path, tmp_path: Path) -> None:
    (root / "etc" / "out").symlink_to(tmp_path)
    holder = os.open(root, os.O_RDONLY)
    beneath.remove_tree(holder, "etc")
    os.close(holder)
    assert not (root / "etc").exists() and (tmp_path / "outside").exists()


def make_deep(place: Path, depth: int) -> None:
    """Directories in each other, more than recursion or open files would bear, with a file in each."""
    current = os.open(place, os.O_RDONLY)
    for _ in range(depth):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=current))
        os.mkdir("d", dir_fd=current)
        following = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = following
    os.close(current)


def test_trees_of_any_depth_are_removed(root: Path, tmp_path: Path) -> None:
    make_deep(root / "etc", 3000)
    holder = os.open(root, os.O_RDONLY)
    try:
        beneath.remove_tree(holder, "etc")
        assert sorted(os.listdir(root)) == ["abs", "dir", "up"]
    finally:
        os.close(holder)
        subprocess.run(["rm", "-rf", root / "etc"], check=True)  # pytest could not


def test_idmapped_mounts_show_other_owners(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "f").write_bytes(b"")
    os.chown(tmp_path / "source" / "f", 5, 6)
    (tmp_path / "target").mkdir()
    namespace = idmap.user_namespace(700_000)
    tree = mount.idmapped(str(tmp_path / "source"), namespace)
    os.close(namespace)
    mount.move_mount(tree, str(tmp_path / "target"))
    os.close(tree)
    status = (tmp_path / "target" / "f").stat()
    assert (status.st_uid, status.st_gid) == (700_005, 700_006)
    with pytest.raises(OSError):
        (tmp_path / "target" / "root-made").touch()
    with process.file_owner(700_000, 700_000):
        (tmp_path / "target" / "made").touch()
        os.chown(tmp_path / "target" / "made", 700_001, 700_002)
    made = (tmp_path / "source" / "made").stat()
    assert (made.st_uid, made.st_gid) == (1, 2)
    (tmp_path / "back").touch()
    assert (tmp_path / "back").stat().st_uid == 0


def own_children() -> str:
    return "".join(children.read_text() for children in Path("/proc/self/task").glob("*/children"))


def test_no_process_stays_behind_an_id_map() -> None:
    before = os.listdir("/proc/self/fd"), own_children()
    os.close(idmap.user_namespace(700_000))
    assert (len(os.listdir("/proc/self/fd")), own_children()) == (len(before[0]), before[1])


def test_a_namespace_of_ones_own_ends(tmp_path: Path) -> None:
    before = os.readlink("/proc/thread-self/ns/mnt"), os.getcwd()
    for _ in range(2):
        with mount.private_namespace():
            mount.mount("none", str(tmp_path), "tmpfs")
            (tmp_path / "seen").touch()
            worker = threading.Thread(target=lambda: None)
            worker.start()
            worker.join()
        assert not (tmp_path / "seen").exists()
    assert (os.readlink("/proc/thread-self/ns/mnt"), os.getcwd()) == before


@pytest.mark.parametrize(
    ("uids", "gids", "expected"),
    [
        (None, None, (1_000_000_000, 10_000)),
        ("alice:100000:65536\n", "alice:100000:65536\n", (1_000_000_000, 10_000)),
        ("root:200000:131072\n", "root:200000:131072\n", (200_000, 2)),
        ("0:1:2\nroot:5:70000\nnonsense\n", "root:5:70000\n", (5, 1)),
        ("root:200000:65536\n", "root:300000:65536\n", "differ"),
        ("root:200000:65536\n", None, "differ"),
        ("root:200000:1000\n", "root:200000:1000\n", "has 1000 ids"),
    ],
)
def test_subordinate_ids(tmp_path: Path, uids: str | None, gids: str | None, expected: tuple[int, int] | str) -> None:
    for name, content in (("uids", uids), ("gids", gids)):
        if content is not None:
            (tmp_path / name).write_text(content)
    paths = str(tmp_path / "uids"), str(tmp_path / "gids")
    if isinstance(expected, str):
        with pytest.raises(Unsupported, match=expected):
            idmap.subordinate_range(*paths)
    else:
        assert idmap.subordinate_range(*paths) == expected
