"""Which paths .dockerignore leaves out."""

from __future__ import annotations

import pytest

from lxcwrap.build import ignore
from lxcwrap.errors import BuildError


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("*.log", "a.log", True),
        ("*.log", "d/a.log", False),
        ("**/*.log", "a.log", True),
        ("**/*.log", "d/e/a.log", True),
        ("d", "d/e/f", True),
        ("/d/", "d/e", True),
        ("d/**", "d", False),
        ("d\n!d/keep", "d/keep", False),
        ("!d/keep\nd", "d/keep", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("# comment\n\n", "# comment", False),
        (r"\*", "x", False),
        ("**c", "abc", True),
        ("**c*", "abc", False),
        ("**c*", "ab/cd", True),
        ("a**z", "a/b/z", True),
        ("a**z", "ab/z", True),
        ("a**z", "abz", False),
        (r"\*", "*", True),
    ],
)
def test_patterns(rules: str, path: str, ignored: bool) -> None:
    assert ignore.parse(rules, ".dockerignore").ignores(path) is ignored


@pytest.mark.parametrize("rules", ["!", "[a", "x\n[z-a]"])
def test_what_is_no_pattern_names_its_line(rules: str) -> None:
    with pytest.raises(BuildError) as caught:
        ignore.parse(rules, ".dockerignore")
    assert caught.value.message.startswith(f".dockerignore:{len(rules.splitlines())}: ")
