"""Compose files in tests/golden/compose: the application that they make and the warnings, or the error with its place.

A folder has ``compose.yaml`` (or what ``arguments.json`` names) and ``expected.json`` or ``error.txt``.
``LXCWRAP_WRITE_GOLDEN=1`` writes what is missing.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lxcwrap.deploy.compose.read import Read, read
from lxcwrap.deploy.compose.shown import document
from lxcwrap.errors import LxcwrapError

CASES = Path(__file__).resolve().parent.parent / "golden" / "compose"
GOOD = sorted(case for case in CASES.iterdir() if not case.name.startswith("bad-"))
BAD = sorted(case for case in CASES.iterdir() if case.name.startswith("bad-"))


def _read(case: Path, **changes: Any) -> Read:
    file = case / "arguments.json"
    arguments = {
        "files": ["compose.yaml"],
        "environment": {},
        **(json.loads(file.read_text()) if file.exists() else {}),
    }
    return read(**{**arguments, **changes})


def _plain(value: Any) -> Any:
    """As JSON, without what has its default."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if getattr(value, field.name)
            != (field.default if field.default_factory is dataclasses.MISSING else field.default_factory())
        }
    if isinstance(value, enum.Enum):
        return value.value
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("case", GOOD, ids=lambda path: path.name)
def test_case(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    monkeypatch.setenv("HOME", "/home/me")
    found = _read(case)
    plain = {"application": _plain(found.application), "warnings": list(found.warnings)}
    text = json.dumps(plain, indent=1, ensure_ascii=False).replace(str(case), "/CASE").replace(str(CASES), "/CASES")
    expected = case / "expected.json"
    if os.environ.get("LXCWRAP_WRITE_GOLDEN") and not expected.exists():
        expected.write_text(text + "\n")
    assert json.loads(text) == json.loads(expected.read_text())


@pytest.mark.parametrize("case", GOOD, ids=lambda path: path.name)
def test_what_config_prints_is_the_same_application(
    case: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import yaml

    monkeypatch.chdir(case)
    monkeypatch.setenv("HOME", "/home/me")
    found = _read(case)
    printed = tmp_path / "compose.yaml"
    printed.write_text(yaml.safe_dump(document(found.model), sort_keys=False))
    again = read([str(printed)], {}, folder=str(case), profiles=["*"])
    assert _plain(again.application) == _plain(found.application)
    assert yaml.safe_load(printed.read_text()) == document(again.model)


@pytest.mark.parametrize("case", BAD, ids=lambda path: path.name)
def test_bad_case(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    with pytest.raises(LxcwrapError) as caught:
        _read(case)
    text = f"{caught.value.message}{f' ({caught.value.hint})' if caught.value.hint else ''}".replace(str(case), "/CASE")
    expected = case / "error.txt"
    if os.environ.get("LXCWRAP_WRITE_GOLDEN") and not expected.exists():
        expected.write_text(text + "\n")
    assert text == expected.read_text().rstrip("\n")
