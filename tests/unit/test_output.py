"""Tables, JSON lines, templates a row; filters."""

from __future__ import annotations

import pytest

from lxcwrap.cli import filters
from lxcwrap.cli.output import aligned, shortened, show, width
from lxcwrap.errors import LxcwrapError, UsageError
from lxcwrap.model.selection import labels_match, moment, truth

COLUMNS = (("CONTAINER ID", "ID"), ("NAMES", "Names"), ("STATUS", "Status"))
ROWS = [
    {"ID": "0123456789ab", "Names": "web", "Status": "Up 3 minutes", "Label": lambda name: {"a": "1"}.get(name, "")},
    {"ID": "ba9876543210", "Names": "a-longer-name", "Status": "Created", "Label": lambda name: ""},
]


def printed(capsys: pytest.CaptureFixture[str], **settings: str) -> str:
    show(ROWS, COLUMNS, **settings)
    return capsys.readouterr().out


def test_the_table_is_dockers(capsys: pytest.CaptureFixture[str]) -> None:
    expected = (
        "CONTAINER ID   NAMES           STATUS\n"
        "0123456789ab   web             Up 3 minutes\n"
        "ba9876543210   a-longer-name   Created\n"
    )
    assert printed(capsys) == expected
    assert printed(capsys, template="table") == expected


def test_a_column_is_ten_wide_at_least() -> None:
    assert aligned([["A", "B"], ["xx", "y"]]) == ["A         B", "xx        y"]


def test_quiet_gives_way_to_a_template(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, quiet="ID") == "0123456789ab\nba9876543210\n"
    assert printed(capsys, quiet="ID", template="{{.Names}}") == "web\na-longer-name\n"


def test_json_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    first = '{"ID":"0123456789ab","Names":"web","Status":"Up 3 minutes"}'
    assert printed(capsys, template="json").splitlines()[0] == first
    assert printed(capsys, template="{{json .}}").splitlines()[0] == first


def test_table_templates_have_headers(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "NAMES           STATUS         a\nweb             Up 3 minutes   1\na-longer-name   Created        \n"
    template = r'table {{.Names}}\t{{.Status}}\t{{.Label "a"}}'
    assert printed(capsys, template=template) == expected
    assert printed(capsys, template="table {{upper .Names}} x").splitlines()[0] == "NAMES x"


def test_backslashes_outside_actions(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, template=r'{{.Names}}\t{{printf "a\tb"}}').splitlines()[0] == "web\ta\tb"


def test_a_field_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="no such field 'Foo'"):
        printed(capsys, template="{{.Foo}}")
    assert capsys.readouterr().out == ""


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for template in ("", "{{.Names}}", "table {{.Names}}"):
        show([{"ID": "1", "Names": "a\x1b[31m\nb\tc\x9b", "Status": ""}], COLUMNS, template=template)
        out = capsys.readouterr().out
        assert "\\x1b[31m\\nb\\tc\\x9b" in out
        assert "\x1b" not in out


def test_width_counts_columns() -> None:
    assert [width(text) for text in ("abc", "ü", "日本", "e\u0301", "")] == [3, 1, 4, 1, 0]
    assert aligned([["日本日本日本", "x"], ["a", "y"]]) == ["日本日本日本   x", "a              y"]
    assert shortened("日本日本", 5) == "日本…"
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abc", 3) == "abc"


def test_filters() -> None:
    assert filters.parse(("name=a", "name=b=c", "label!=x"), {"name", "label!"}) == {
        "name": ("a", "b=c"),
        "label!": ("x",),
    }
    with pytest.raises(UsageError):
        filters.parse(("name",), {"name"})
    with pytest.raises(LxcwrapError, match="invalid filter 'nome'") as caught:
        filters.parse(("nome=x",), {"name"})
    assert caught.value.exit_code == 1


def test_labels_match() -> None:
    labels = {"a": "1", "b": ""}
    assert labels_match(("a", "a=1", "b="), labels)
    assert not labels_match(("a=2",), labels)
    assert not labels_match(("c",), labels)


def test_truth() -> None:
    assert truth(("true",), "dangling") is True
    assert truth(("0", "false"), "dangling") is False
    for values in (("maybe",), ("true", "false")):
        with pytest.raises(UsageError):
            truth(values, "dangling")


def test_moments() -> None:
    assert moment("10m", 1000) == 400
    assert moment("1700000000.5", 0) == 1700000000.5
    assert moment("2026-01-02T03:04:05Z", 0) == 1767323045
    assert moment("2026-01-02T04:04:05.5+01:00", 0) == 1767323045.5
    assert moment("2026-01-02", 0) <= moment("2026-01-02T01", 0)
    for text in ("yesterday", "2026-13-01", "", "1x", "99999-01-01"):
        with pytest.raises(UsageError):
            moment(text, 0)
