"""``lxcwrap config``: which files are read, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lxcwrap.cli import application_options as options
from lxcwrap.cli.main import run

FILE = """\
services:
  web:
    image: web:${TAG:-1}
    build: .
    volumes: ["data:/data", "./conf:/conf"]
    environment: {PRICE: "5$$"}
    secrets: [inline, env]
  job: {image: job, profiles: [jobs]}
volumes: {data: }
secrets:
  inline: {content: do-not-show}
  env: {environment: TOKEN}
"""
NONE = {"files": (), "project": "", "profiles": (), "env_files": (), "folder": ""}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "TAG", "TOKEN"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "shop"
    place.mkdir()
    (place / "compose.yaml").write_text(FILE)
    (place / ".env").write_text("TOKEN=do-not-show\n")
    monkeypatch.chdir(place)
    return place


def output(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run(["config", *words]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_the_whole_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "--format", "json")
    found = json.loads(text)
    assert found["name"] == "shop"
    assert list(found["services"]) == ["web"]
    web = found["services"]["web"]
    assert (web["image"], web["build"]["context"]) == ("web:1", str(folder))
    assert [volume["source"] for volume in web["volumes"]] == ["data", f"{folder}/conf"]
    assert web["environment"] == {"PRICE": "5$$"}
    assert found["secrets"]["env"] == {"environment": "TOKEN"}
    assert "do-not-show" not in text + output(capsys)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--services",), "web\n"),
        (("--services", "--profile", "jobs"), "web\njob\n"),
        (("--images", "--profile", "*"), "job\nweb:1\n"),
        (("--volumes",), "data\n"),
        (("--profiles",), "jobs\n"),
        (("-q",), ""),
    ],
)
def test_parts_of_it(folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str) -> None:
    assert output(capsys, *words) == expected


def test_a_hash_changes_with_its_service_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = output(capsys, "--hash", "*", "--profile", "jobs")
    (folder / "compose.yaml").write_text(FILE.replace("image: job", "image: job:2"))
    after = output(capsys, "--hash", "*", "--profile", "jobs")
    assert [one == other for one, other in zip(before.splitlines(), after.splitlines(), strict=True)] == [True, False]
    assert output(capsys, "--hash", "web") == before.splitlines(keepends=True)[0]
    assert "there is no service 'x'" in output(capsys, "--hash", "x", code=1)


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(output(capsys, "--schema"))["properties"]["services"]


def test_an_error_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "compose.yaml").write_text("services:\n  web:\n    enviroment: {}\n")
    text = output(capsys, code=1)
    assert text == "lxcwrap: compose.yaml:3:5: services.web.enviroment: unknown key; did you mean environment?\n"


def test_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"there is no compose.yaml in {tmp_path} or above it" in output(capsys, code=1)
    assert "there is no file none.yaml" in output(capsys, "-f", "none.yaml", code=1)


def test_files_are_found_in_folders_above(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(folder / "a" / "b")
    assert options.files(NONE) == ["../../compose.yaml"]
    assert options.name(NONE) == "shop"
    (folder / "a" / "docker-compose.yml").touch()
    (folder / "a" / "docker-compose.override.yaml").touch()
    (folder / "a" / "compose.override.yaml").touch()
    assert options.files(NONE) == ["../docker-compose.yml", "../docker-compose.override.yaml"]
    monkeypatch.setenv("COMPOSE_FILE", "one.yaml:sub/two.yaml")
    assert options.files(NONE) == ["one.yaml", "sub/two.yaml"]
    assert options.files({**NONE, "files": ("x",)}) == ["x"]
    assert options.files({**NONE, "files": ("x",)}, "y") == ["y", "x"]


def test_compose_file_in_a_file_of_variables(folder: Path) -> None:
    (folder / ".env").write_text("COMPOSE_FILE=other.yaml\nCOMPOSE_PATH_SEPARATOR=,\n")
    assert options.files(NONE) == ["other.yaml"]


def test_variables_where_the_caller_is_go_before_the_projects(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".env").write_text("TAG=project\n")
    assert "web:project" in output(capsys, "--images")
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    (folder / "sub" / ".env").write_text("TAG=here\nCOMPOSE_PROJECT_NAME=named-here\n")
    assert "web:here" in output(capsys, "--images")
    assert options.name(NONE) == "named-here"


def test_an_override_file_is_merged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "compose.override.yml").write_text("services: {web: {image: other}}\n")
    assert output(capsys, "--images") == "other\n"


def test_secrets_of_variables_are_there_for_whoever_delivers_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.setenv("TOKEN", "from outside")
    monkeypatch.delenv("TOKEN")
    options.load(NONE)
    assert os.environ["TOKEN"] == "do-not-show"


def test_standard_input(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"services: {x: {image: y}}")))
    assert output(capsys, "-f", "-", "--images") == "y\n"


def test_the_name_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert options.name({**NONE, "project": "given"}) == "given"
    (folder / "compose.yaml").write_text("name: own\nnonsense: here\n")
    assert options.name(NONE) == "own"
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "outside")
    assert options.name(NONE) == "outside"
