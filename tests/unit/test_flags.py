"""Flags with values as Go programs take them, and flags that are refused by name."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from lxcwrap.cli.flags import plain
from lxcwrap.cli.refused import refused
from lxcwrap.errors import UsageError
from lxcwrap.model import run_flags


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("-d", "--detach", is_flag=True)
@click.option("-t", "--tty", is_flag=True)
@click.option("--sig-proxy/--no-sig-proxy", default=True)
@click.option("-e", "--env", multiple=True)
@click.option("--pull")
@click.argument("words", nargs=-1)
@refused("--gpus", reason="there is no driver for them")
@refused("-x", "--experimental", reason="nothing is", value=False)
def sample(detach: bool, tty: bool, sig_proxy: bool, env: tuple[str, ...], pull: str, words: tuple[str, ...]) -> None:
    click.echo(repr((detach, tty, sig_proxy, env, pull, words)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--detach=true", "x"], ["--detach", "x"]),
        (["--detach=false", "x"], ["x"]),
        (["-d=1", "--tty=F"], ["-d"]),
        (["--sig-proxy=false"], ["--no-sig-proxy"]),
        (["-e", "--detach=true", "x"], ["-e", "--detach=true", "x"]),
        (["-te", "--detach=true"], ["-te", "--detach=true"]),
        (["-eA=1", "--env=B=2", "--pull=always"], ["-eA=1", "--env=B=2", "--pull=always"]),
        (["image", "--detach=true"], ["image", "--detach=true"]),
        (["--", "--detach=true"], ["--", "--detach=true"]),
        (["--pull", "x", "--detach=T", "y", "--tty=true"], ["--pull", "x", "--detach", "y", "--tty=true"]),
    ],
)
def test_switches_with_values(given: list[str], expected: list[str]) -> None:
    assert plain(sample, given) == expected


def test_a_switch_with_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="invalid value 'maybe' for --detach"):
        plain(sample, ["--detach=maybe"])


@pytest.mark.parametrize("words", [["--gpus", "all", "x"], ["--gpus=all"], ["x", "--gpus", "all"][1:]])
def test_a_refused_flag_says_why(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--gpus is not supported: there is no driver for them"):
        sample.main(words, standalone_mode=False)


def test_a_refused_switch_takes_no_value() -> None:
    with pytest.raises(UsageError, match="--experimental is not supported: nothing is"):
        sample.main(["-x", "word"], standalone_mode=False)


def test_refused_flags_are_not_in_the_help_and_harmless_when_absent() -> None:
    assert "gpus" not in CliRunner().invoke(sample, ["--help"]).output
    assert "('w',)" in CliRunner().invoke(sample, ["w"]).output


def test_a_file_of_variables_ends_its_lines_at_newlines_only() -> None:
    content = "\ufeffA=1\r\n# no\n\nB=x\x0cy\u2028z\nHOME\nNOPE"
    assert run_flags.environment_file(content, "env", {"HOME": "/h"}) == ["A=1", "B=x\x0cy\u2028z", "HOME=/h"]


def test_the_source_of_a_volume_is_a_plain_path() -> None:
    assert run_flags.volume("/nowhere/../tmp//x/:/y").source == "/tmp/x"
