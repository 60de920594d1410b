"""Command lines for other hosts: what is about this machine, and what goes along."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from lxcwrap.actions.far import File, Request
from lxcwrap.cli import far_files
from lxcwrap.cli.far_files import Line
from lxcwrap.cli.main import cli
from lxcwrap.cli.target import named
from lxcwrap.errors import LxcwrapError


def rewritten(*words: str) -> Line:
    context = click.Context(cli)
    command: click.Command = cli
    names: list[str] = []
    rest = list(words)
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        assert found
        names.append(rest.pop(0))
        command = found
    return far_files.rewrite(tuple(names), command, rest)


def test_most_lines_go_as_they_are() -> None:
    for line in (
        "run -it --rm -v /a:/b -e X=1 --name=web image sh -c -o",
        "ps -a --filter name=x",
        "exec -w /x c cat --env-file y",
        "container ls -q",
        "cp web:/x -",
        "build -t x -",
        "volume ls",
    ):
        words = line.split()
        assert list(rewritten(*words).words) == [
            part for word in words for part in (["-i", "-t"] if word == "-it" else [word])
        ]


def test_files_that_options_name_go_along(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_bytes(b"A=1\n")
    for words in (("--env-file", str(path)), (f"--env-file={path}",)):
        assert rewritten("run", *words, "image").words == ("run", File("--env-file=", b"A=1\n"), "image")
    assert rewritten("run", "image", "--env-file", "x").words == ("run", "image", "--env-file", "x")


def test_standard_streams() -> None:
    assert rewritten("save", "-o", "x.tar", "image") == Line(
        ("save", "image"), output="x.tar", flags=frozenset(("--output", ""))
    )
    assert rewritten("image", "save", "-ox.tar", "image").output == "x.tar"
    assert rewritten("load", "--input=x.tar").input == "x.tar"
    assert rewritten("load", "-q").input == ""
    line = rewritten("import", "-m", "text", "x.tar", "name:1")
    assert (line.input, line.words) == ("x.tar", ("import", "-m", "text", "-", "name:1"))
    assert rewritten("import", "https://x/y.tar").words == ("import", "https://x/y.tar")


def test_builds_of_folders() -> None:
    line = rewritten("build", "-t", "x", "-f", "d/Other", "--no-cache", ".")
    assert (line.context, line.dockerfile) == (".", "d/Other")
    assert line.words == ("build", "-t", "x", "--no-cache", "-")
    assert rewritten("build", "-f", "inside", "-").words == ("build", "--file", "inside", "-")


def test_copies() -> None:
    line = rewritten("cp", "-a", "./x/y", "web:/z")
    assert line.sent and line.words == ("receive", "-a", "y", "web:/z") and line.copied == ("./x/y", "web:/z")
    line = rewritten("volume", "cp", "x/.", "data:/")
    assert line.words == ("receive", "--volume", ".", "data:/")
    line = rewritten("cp", "web:/z", "here")
    assert not line.sent and line.words == ("cp", "web:/z", "-") and line.copied == ("web:/z", "here")


def test_what_cannot_be_done_from_afar() -> None:
    for words in (("run", "--cidfile", "x", "image"), ("build", "--iidfile=x", ".")):
        with pytest.raises(LxcwrapError, match="is not there with -H"):
            rewritten(*words)


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("-H web ps", "web"),
        ("--host=web ps", "web"),
        ("-Hweb ps", "web"),
        ("--root /x -H web ps", "web"),
        ("ps -H web", ""),
        ("-H web host ls", ""),
        ("-H web --help", ""),
        ("-D ps", ""),
    ],
)
def test_which_host_a_line_is_for(line: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LXCWRAP_HOST", raising=False)
    assert named(line.split()) == host
    monkeypatch.setenv("LXCWRAP_HOST", "other")
    assert named("ps".split()) == "other" and named("completion bash".split()) == ""


def test_requests_as_json() -> None:
    request = Request(("a", File("--x=", b"\0\xff"), "ä"), "xterm", (24, 80))
    assert Request.from_json(request.to_json()) == request
