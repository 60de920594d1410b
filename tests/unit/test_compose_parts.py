"""The parts that read Compose files: variables, files of variables, short forms, order, names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lxcwrap.deploy.compose import dotenv, interpolate, order, source, table
from lxcwrap.deploy.compose.kinds import Many, Map, Object, Short
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.read import project_name, read
from lxcwrap.errors import LxcwrapError, UsageError

CHECKOUT = Path(__file__).resolve().parents[2]


def filled(text: str, **environment: str) -> str:
    return interpolate.text(text, environment, lambda name: None, UsageError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$$FOO", "$FOO"),
        ("$FOO-bar", "first-bar"),
        ("${FOO}bar", "firstbar"),
        ("${UNSET:-/non:-alphanumeric}", "/non:-alphanumeric"),
        ("${UNSET-myerror?msg}", "myerror?msg"),
        ("${FOO?bar-baz}", "first"),
        ("${EMPTY?err}", ""),
        ("${UNSET-${FOO} ${FOO}}", "first first"),
        ("${UNSET:-{a}}", "{a}"),
        ("${FOO:+${EMPTY:-x}}", "x"),
        ("${UNSET:-$$}", "$"),
        ("a b", "a b"),
    ],
)
def test_variables(text: str, expected: str) -> None:
    assert filled(text, FOO="first", EMPTY="") == expected


@pytest.mark.parametrize("text", ["${", "$}", "${}", "${ }", "${ foo}", "${foo }", "${foo!}", "$", "a$", "$1", "${1}"])
def test_what_is_no_variable(text: str) -> None:
    with pytest.raises(UsageError, match="what follows a"):
        filled(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("${A:?}", "variable A is missing"), ("${A?why ${B}}", "variable A is missing: why b"), ("${E:?no}", ": no")],
)
def test_variables_that_are_needed(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("$", r"\$")):
        filled(text, B="b", E="")


def test_a_value_cannot_grow_without_bounds() -> None:
    with pytest.raises(UsageError, match="longer than"):
        filled("$A" * 20, A="x" * 100_000)


def test_a_file_cannot_grow_without_bounds(tmp_path: Path) -> None:
    text = "x-a: &a '${A:-" + "x" * 200_000 + "}'\nx-b: [" + "*a," * 100 + "]\n" + WEB
    with pytest.raises(UsageError, match="with its variables filled in the file is longer than"):
        read([write(tmp_path, "compose.yaml", text)], {})
    with pytest.raises(UsageError, match="with its variables filled in the file is longer than"):
        dotenv_of("A=" + "x" * 500_000 + "".join(f"\nA{number}=$A" for number in range(50)))


def test_files_that_include_each_other_without_end(tmp_path: Path) -> None:
    for number in range(12):
        two = [f"{number + 1}a.yaml", f"{number + 1}b.yaml"]
        for name in "ab":
            write(tmp_path, f"{number}{name}.yaml", f"include: [{', '.join(two)}]\n")
    for name in "ab":
        write(tmp_path, f"12{name}.yaml", WEB)
    with pytest.raises(UsageError, match="more than 300 files are included"):
        read([str(tmp_path / "0a.yaml")], {})


def dotenv_of(text: str, *, raw: bool = False, **environment: str) -> dict[str, str]:
    return dotenv.parse(text, ".env", environment, lambda line: None, raw=raw)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("export A = 1 \n\n# B=2\n", {"A": "1"}),
        ("A: yaml style", {"A": "yaml style"}),
        ("A=x # comment\nB=x#no comment\nC=# all of it", {"A": "x", "B": "x#no comment", "C": ""}),
        ("A='$B \\n' # c\nB=2", {"A": "$B \\n", "B": "2"}),
        ('A="two\nlines"', {"A": "two\nlines"}),
        ('A="a\\nb\\t\\"\\\\ $$ \\$X"', {"A": 'a\nb\t"\\ $ $X'}),
        ("A=1\nB=${A}2\nC=${GIVEN}", {"A": "1", "B": "12", "C": "given"}),
        ("GIVEN\nABSENT\n", {"GIVEN": "given"}),
        ("\ufeffA=1".encode().decode("utf-8-sig"), {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A.B-C=1", {"A.B-C": "1"}),
        ("A=${X:-$Y}", {"A": ""}),
    ],
)
def test_files_of_variables(text: str, expected: dict[str, str]) -> None:
    assert dotenv_of(text, GIVEN="given") == expected


def test_what_a_value_sees() -> None:
    found = dotenv.parse("A=own\nX=$A $B $C", ".env", {"C": "c"}, lambda line: None, earlier={"A": "a", "B": "b"})
    assert found == {"A": "own", "X": "own b c"}


def test_raw_lines_are_taken_as_they_are() -> None:
    assert dotenv_of("A='$B' # c\nGIVEN\n", raw=True, GIVEN="g") == {"A": "'$B' # c", "GIVEN": "g"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nB C=2", ".env:2: this line is not NAME=VALUE"),
        ("\n=x", ".env:2: this line is not NAME=VALUE"),
        ('A="x', ".env:1: the quoted value has no end"),
        ('A="x" y', ".env:1: 'y' stands after the quoted value"),
        ("A=1\nB=${", ".env:2: '${': what follows"),
    ],
)
def test_bad_files_of_variables(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        dotenv_of(text)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    "text",
    ["1-0:80", "0", "80:", ":", "a:80", "65536", "1:2:3:4:5", "1-60000", "80/", "1.2.3.4:", "1.2.3.4:80", "80:80/http"],
)
def test_ports_that_are_none(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "compose.yaml", f"services: {{a: {{image: a, ports: ['{text}']}}}}")
    with pytest.raises(UsageError, match=r"compose.yaml:1:34: services.a.ports"):
        read([path], {})


def document(text: str) -> Node:
    return source.documents(text.encode(), "f", "/")[0]


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("a: 1\na: 2\n", "f:2:1: key 'a' stands here twice"),
        ("a: !!binary aGk=\n", "f:1:4: tag 'tag:yaml.org,2002:binary' is not allowed"),
        ("a: \x01", "f:1:"),
        ("? {a: b}\n: c", "f:1:3: a key is neither"),
        ("a: [", "f:2:1: not valid YAML"),
        ("x: " + "a" * (4 * 1024 * 1024), "f: the file is larger than 4 MiB"),
    ],
)
def test_yaml_that_is_refused(text: str, bad: str) -> None:
    with pytest.raises(UsageError) as caught:
        document(text)
    assert caught.value.message.startswith(bad) or (bad == "f:1:" and "f" in caught.value.message)


def test_merge_keys() -> None:
    found = document("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 3}\n")
    assert {key: child.text for key, child in found.mapping["c"].mapping.items()} == {"y": "3", "x": "1", "z": "2"}


def test_scalars_keep_what_was_written() -> None:
    found = document("a: 0123\nb: 1.10\nc: 22:22\nd: no\ne: null\nf: 'null'\ng: 2024-01-01\nh: !!str 5\n").mapping
    assert [child.text for child in found.values()] == [
        "0123",
        "1.10",
        "22:22",
        "no",
        "null",
        "null",
        "2024-01-01",
        "5",
    ]
    assert [key for key, child in found.items() if child.value is None] == ["e"]


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        for one in source.documents(text.encode(errors="surrogatepass"), "f", "/"):
            table.FILE.read(interpolate.fill(one, {}, lambda line: None), "", lambda line: None)
    except LxcwrapError as error:
        assert "\n" not in error.message


def test_order() -> None:
    needs = {"a": ("c",), "b": (), "c": ("b",)}
    assert order.sorted_names(needs, {}) == ("b", "c", "a")


def test_many_services_are_sorted_quickly() -> None:
    needs = {str(number): (str(number + 1),) for number in range(20_000)} | {"20000": ()}
    assert order.sorted_names(needs, {})[:2] == ("20000", "19999")


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


WEB = "services:\n  web: {image: web}\n"


@pytest.mark.parametrize(
    ("folder", "text", "environment", "project", "expected"),
    [
        ("My_App.2", WEB, {}, "", "my_app2"),
        ("-_x", WEB, {}, "", "x"),
        ("x", "name: ${N}-y\n" + WEB, {"N": "n"}, "", "n-y"),
        ("x", "name: y\n" + WEB, {"COMPOSE_PROJECT_NAME": "z"}, "", "z"),
        ("x", "name: y\n" + WEB, {"COMPOSE_PROJECT_NAME": "z"}, "p", "p"),
    ],
)
def test_the_projects_name(
    tmp_path: Path, folder: str, text: str, environment: dict[str, str], project: str, expected: str
) -> None:
    path = write(tmp_path / folder, "compose.yaml", text)
    assert read([path], environment, project).application.name == expected
    if not project:
        assert project_name([path], environment) == expected


def test_the_name_needs_no_valid_file(tmp_path: Path) -> None:
    path = write(tmp_path, "compose.yaml", "name: shop\nservices: {web: {imag: x}}\n")
    assert project_name([path], {}) == "shop"


def test_profiles_come_from_the_environment_too(tmp_path: Path) -> None:
    path = write(tmp_path, "compose.yaml", WEB + "  extra: {image: e, profiles: [more]}\n")
    assert len(read([path], {}).application.services) == 1
    assert len(read([path], {"COMPOSE_PROFILES": "x, more"}).application.services) == 2
    assert len(read([path], {"COMPOSE_PROFILES": "more"}, profiles=["x"]).application.services) == 1
    assert len(read([path], {}, profiles=["*"]).application.services) == 2
    write(tmp_path, ".env", "COMPOSE_PROFILES=more\n")
    assert len(read([path], {}).application.services) == 2


def test_the_caller_goes_before_env_files(tmp_path: Path) -> None:
    path = write(tmp_path, "compose.yaml", "services: {web: {image: '${A}-${B}-${C}'}}\n")
    one, two = write(tmp_path, "one.env", "A=1\nB=1\n"), write(tmp_path, "two.env", "B=${A}2\nC=2\n")
    write(tmp_path, ".env", "A=not-read\n")
    assert read([path], {"C": "c"}, env_files=[one, two]).application.services[0].image == "1-12-c"
    with pytest.raises(UsageError, match="there is no such file of variables"):
        read([path], {}, env_files=[str(tmp_path / "absent")])


def test_a_secret_from_a_variable_that_is_not_set_is_warned_about(tmp_path: Path) -> None:
    text = "services: {web: {image: web, secrets: [s]}}\nsecrets: {s: {environment: NOT_SET}}\n"
    found = read([write(tmp_path, "compose.yaml", text)], {})
    assert found.warnings == (f"{tmp_path}/compose.yaml:2:11: secrets.s: variable NOT_SET is not set",)


def test_every_key_is_in_the_guide() -> None:
    guide = (CHECKOUT / "docs" / "compose.rst").read_text()
    assert not [key for key in _keys(table.FILE) if f"``{key}``" not in guide]


def _keys(kind: Any) -> set[str]:
    if isinstance(kind, Short):
        return _keys(kind.long)
    if isinstance(kind, Many | Map):
        return _keys(kind.item)
    if not isinstance(kind, Object):
        return set()
    return set(kind.fields) | {key for field in kind.fields.values() for key in _keys(field.kind)}


def _plain_yaml(path: Path) -> list[Any]:
    yaml = pytest.importorskip("yaml")
    return [one for one in yaml.safe_load_all(path.read_bytes()) if one is not None]


def test_the_schema_takes_the_good_files_and_refuses_unknown_keys() -> None:
    fastjsonschema = pytest.importorskip("fastjsonschema")
    check = fastjsonschema.compile(json.loads(json.dumps(table.schema())))
    golden = CHECKOUT / "tests" / "golden" / "compose"
    files = [path for path in golden.rglob("*.y*ml") if "!" not in path.read_text(errors="replace")]
    for path in files:
        if "bad-" not in str(path):
            for one in _plain_yaml(path):
                check(one)
    for path in golden.glob("bad-unknown-key*/compose.yaml"):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            check(_plain_yaml(path)[0])


def test_yaml_is_not_loaded_before_a_file_is_read() -> None:
    script = (
        "import sys, lxcwrap.cli.application_options, lxcwrap.cli.commands.config, lxcwrap.deploy.compose.read\n"
        "sys.exit(bool({'yaml', 'ssl', 'paramiko', 'rich'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0
