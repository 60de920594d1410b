"""Go templates: a folder of cases, and anything at all, which never ends in a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lxcwrap.cli.gotemplate import render
from lxcwrap.errors import UsageError
from lxcwrap.model.godata import GoMap, NilSlice, struct

CASES = Path(__file__).parent.parent / "golden" / "gotemplate"


def document() -> Any:
    plain = json.loads((CASES / "document.json").read_text())
    plain["Config"]["Labels"] = GoMap(plain["Config"]["Labels"])
    plain["NetworkSettings"]["Ports"] = GoMap(plain["NetworkSettings"]["Ports"])
    plain["NetworkSettings"]["Networks"] = GoMap(plain["NetworkSettings"]["Networks"])
    plain["Config"]["Cmd"] = NilSlice()
    plain["State"] = struct({**plain["State"], "Health": None}, "Health")
    return plain


@pytest.mark.parametrize("case", sorted(CASES.glob("*.txt")), ids=lambda path: path.stem)
def test_case(case: Path) -> None:
    template, _, expected = case.read_text().partition("\n=>\n")
    expected = expected[:-1]
    if not expected.startswith("!"):
        assert render(template, document()) == expected
        return
    with pytest.raises(UsageError) as caught:
        render(template, document())
    assert expected[1:] in caught.value.message
    assert caught.value.message.startswith("template: ")
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 1


def test_method_with_an_argument() -> None:
    row = {"Label": lambda name: {"a": "1"}.get(name, ""), "Names": "x"}
    assert render('{{.Label "a"}} {{.Names}}', row) == "1 x"
    assert render('{{"a" | .Label}}{{(.Label "a") | printf "%3s"}}', row) == "1  1"
    assert render("{{json .}}", row) == '{"Names":"x"}'
    with pytest.raises(UsageError):
        render("{{.Label}}", row)


def test_the_same_name_for_every_row() -> None:
    assert [render("{{.A}}", {"A": value}) for value in (1, "b", None)] == ["1", "b", "<no value>"]


PIECES = st.sampled_from(
    """{{ }} {{- -}} . .Id .State.Pid .Args .Config.Labels $ $x := = | ( ) , if else end range with break continue
    len index eq and or not printf println json upper title join split truncate pad slice "a" `b` 'c' 1 -2 1.5 nil true
    /* */ " \\ \n % %d %v é \x00 } { .. 99999999 define urlquery html""".split(" ")
)


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=14).map(" ".join) | st.lists(PIECES, max_size=10).map("".join) | st.text(max_size=20))
def test_anything_renders_or_is_a_usage_error(template: str) -> None:
    for text in (template, "{{" + template + "}}", "{{range .Args}}" + template + "{{end}}"):
        try:
            assert isinstance(render(text, document()), str)
        except UsageError as error:
            assert error.message.startswith("template: ")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES)
def test_functions_take_any_value(one: Any, other: Any) -> None:
    for name in (
        "json len index slice eq ne lt le gt ge not and or print printf println upper title join split truncate pad "
        "urlquery html"
    ).split():
        for form in (f"{{{{{name} .A}}}}", f"{{{{{name} .A .B}}}}", f"{{{{{name} .A .B .A}}}}"):
            try:
                assert isinstance(render(form, {"A": one, "B": other}), str)
            except UsageError as error:
                assert error.message.startswith("template: ")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="%sdqvxXUctTfeg0123456789.-+# z"), VALUES)
def test_printf_takes_any_form(form: str, value: Any) -> None:
    assert isinstance(render("{{printf .F .V .V}}", {"F": form, "V": value}), str)


def test_deep_nesting_is_refused() -> None:
    for text in ("{{" + "(" * 5000 + "}}", "{{if 1}}" * 5000, "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}"):
        with pytest.raises(UsageError, match="nested deeper"):
            render(text, {})
