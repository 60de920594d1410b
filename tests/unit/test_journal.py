"""The journal of events: rotation loses nothing that a reader was due, and the size is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from lxcwrap.kernel import journal


def test_reader_goes_through_rotations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LIMIT", 500)
    path = str(tmp_path / "events" / "journal")
    reader = journal.Reader(path)
    seen = []
    for number in range(40):
        journal.record(path, "container", "start", str(number), {"name": "x"})
        seen += [entry["actor"] for entry in reader.read()]
    assert seen == [str(number) for number in range(40)]
    left = [entry["actor"] for entry in journal.Reader(path).read()]
    assert left == seen[-len(left) :] and len(left) >= 3
    assert sum(file.stat().st_size for file in (tmp_path / "events").iterdir()) < 1500


def test_lines_cut_short_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text('{"time": 1, "ki\n[]\n')
    journal.record(str(path), "image", "pull", "a", {"name": "x" * 100_000})
    (entry,) = journal.Reader(str(path)).read()
    assert entry["actor"] == "a"
