"""What a host tells deployments: its JSON form, which connections are waited for, releases that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from lxcwrap.actions.app_end import contents, drain, releases
from lxcwrap.deploy.observation import HostState, Replica, final_name, incoming_name
from lxcwrap.errors import NotFound, UsageError
from lxcwrap.model.paths import Paths
from lxcwrap.store.database import Store

LINE = "   0: {} {} {} 00000000:00000000 00:00000000 00000000     0        0 {} 1 0000000000000000 100 0 0 10 0"


def connection(state: int, local: str, peer: str, inode: int = 7) -> drain.Connection:
    return drain.parsed(LINE.format(local, peer, f"{state:02X}", inode))


def test_which_connections_count() -> None:
    listening = connection(10, "00000000:0050", "00000000:0000")
    outside = connection(1, "0204A8C0:0050", "0104A8C0:C000")
    found = [
        listening,
        outside,
        connection(4, "0204A8C0:0050", "0104A8C0:C001", 0),  # the answer is not all sent
        connection(6, "0204A8C0:0050", "0104A8C0:C002", 0),  # over
        connection(1, "0100007F:0050", "0100007F:C000"),  # its own health check
        connection(1, "0204A8C0:0050", "0204A8C0:C000"),  # itself, by its address
        connection(1, "0204A8C0:C111", "0904A8C0:0050"),  # one that it made
    ]
    assert drain.count(found) == 2
    assert drain.count(found, only={"8"}) == 0
    assert drain.count([outside]) == 0


def test_a_state_survives_json() -> None:
    labels = (("lxcwrap.app", "a"),)
    replica = Replica("1" * 64, "a-web-1", "web", 1, 3, "spec", "sha256:1", "running", labels=labels)
    state = HostState("h", cpus=2, replicas=(replica,), images=(("web:1", "sha256:1"),), secrets=(("k", "v"),))
    assert HostState.from_json(state.to_json()) == state


@pytest.mark.parametrize(
    ("name", "serves"),
    [(final_name("a", "web", 1), True), (incoming_name("a", "web", 1, 3), False), ("a-web-1-old-0123456789ab", False)],
)
def test_who_serves(name: str, serves: bool) -> None:
    labels = (("lxcwrap.app", "a"),)
    assert Replica("1", name, "web", 1, 3, "", "", "running", labels=labels).serves is serves


def test_releases_are_kept_up_to_a_number(tmp_path: Path) -> None:
    store = Store(Paths(str(tmp_path)))
    for _ in range(releases.KEPT + 5):
        releases.put(store, "a", {"status": "done"})
    releases.put(store, "b", {"status": "failed"})
    assert [one["number"] for one in releases.listing(store, "a")] == list(range(25, 5, -1))
    assert (releases.last(store, "a"), releases.last(store, "b"), releases.last(store, "c")) == (25, 1, 0)
    for record in ({"status": "done", "number": -1}, {"status": "done", "number": "2"}, {}):
        with pytest.raises(UsageError):
            releases.put(store, "a", record)
    store.close()


def test_paths_of_secrets(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    version = contents.put(paths, "a", "key", b"x", config=True)
    folder = f"{tmp_path}/configs/a/key/{version}"
    assert contents.provide(paths, f"{folder}/0-0-0444") and Path(folder, "0-0-0444").read_bytes() == b"x"
    for path in ("/etc/passwd", f"{folder}/content", f"{folder}/x/0-0-0444", f"{tmp_path}/other/a/key/v/0-0-0444", "/"):
        assert not contents.provide(paths, path)
    with pytest.raises(NotFound, match="config key"):
        contents.provide(paths, f"{tmp_path}/configs/a/key/0123456789abcdef/0-0-0444")
    assert Path(folder).parent.parent.parent.stat().st_mode & 0o777 == 0o700
