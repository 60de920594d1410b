"""Dockerfiles in tests/golden/dockerfile: what is planned for the last stage, or the error with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lxcwrap.build import download, parser, stages
from lxcwrap.build.planner import plan_stage
from lxcwrap.errors import BuildError
from lxcwrap.model.image import Platform, RunConfig

CASES = Path(__file__).resolve().parent.parent / "golden" / "dockerfile"
AMD64 = Platform("linux", "amd64")


def _plan(text: str) -> dict[str, object]:
    dockerfile = stages.resolve(parser.parse(text, "Dockerfile"), {"GIVEN": "given"}, "", AMD64, AMD64)
    source = dockerfile.stages[-1]
    base = RunConfig(command=("sh",), env=("PATH=/bin",))
    plan = plan_stage(dockerfile, source, base, "", {"GIVEN": "given"}, AMD64, {})
    return {"base": source.base, "steps": [step.created_by for step in plan.steps], "config": plan.config.to_json()}


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda path: path.name)
def test_case(case: Path) -> None:
    text = (case / "Dockerfile").read_text()
    if (case / "error.txt").exists():
        with pytest.raises(BuildError) as caught:
            _plan(text)
        assert caught.value.message == (case / "error.txt").read_text().strip()
    else:
        assert _plan(text) == json.loads((case / "expected.json").read_text())


def test_empty_trigger_of_a_base_names_the_line() -> None:
    dockerfile = stages.resolve(parser.parse("ARG x\nFROM b\n", "Dockerfile"), {}, "", AMD64, AMD64)
    with pytest.raises(BuildError, match="Dockerfile:2: an instruction is empty"):
        plan_stage(dockerfile, dockerfile.stages[0], RunConfig(on_build=(" ",)), "", {}, AMD64, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM b\nENV A=" + "${B:-" * 3000 + "}" * 3000, "Dockerfile:2: variables are nested too deep: "),
        ("FROM b\nENV A=" + "a" * 100 + f"\nENV A={'$A' * 10}" * 9, "Dockerfile:7: with its variables filled in"),
        ("FROM b\n" * 501, "Dockerfile:501: there are more than 500 stages"),
    ],
)
def test_dockerfiles_that_grow_without_bounds(text: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        _plan(text)
    assert caught.value.message.startswith(message)


def test_url_that_cannot_be_read() -> None:
    line = parser.parse_line("ADD http://[bad/x /x/", "Dockerfile", 3, 3)
    with pytest.raises(BuildError, match=r"^Dockerfile:3: ADD http://\[bad/x: Invalid"):
        download.name_of("http://[bad/x", line)
