"""Every command: help with an example, a manual page that groff takes, and Docker's flags, taken or refused by name."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from lxcwrap.cli import manual
from lxcwrap.cli.main import cli
from lxcwrap.cli.walk import every
from lxcwrap.errors import UsageError

COMMANDS = [(words, command) for words, command in every(cli) if words and not isinstance(command, click.Group)]
GROUPS = [(words, command) for words, command in every(cli) if isinstance(command, click.Group)]
GOLDEN = Path(__file__).parent.parent / "golden" / "docker-flags.txt"


def _name(item: object) -> str:
    return "-".join(item) if isinstance(item, tuple) else ""


def _help(words: tuple[str, ...], command: click.Command) -> str:
    return command.get_help(click.Context(command, info_name=" ".join(("lxcwrap", *words)), max_content_width=120))


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=_name)
def test_help_has_an_example(words: tuple[str, ...], command: click.Command) -> None:
    text = _help(words, command)
    examples = re.findall(r"(?m)^ +((?:\S* ?\| )?(?:sudo )?lxcwrap .*|.*\blxcwrap .*)$", text.partition("Example")[2])
    assert examples, text
    assert command.help


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=_name)
def test_every_option_is_explained(words: tuple[str, ...], command: click.Command) -> None:
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            assert param.help, param.opts


@pytest.mark.parametrize(("words", "command"), GROUPS, ids=_name)
def test_groups_list_their_commands(words: tuple[str, ...], command: click.Command) -> None:
    text = _help(words, command)
    assert "Commands:" in text
    assert command.help


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("man")
    (place / "man1").mkdir()
    manual.write(cli, str(place / "man1"))
    return place


def test_manual_pages_are_clean(pages: Path, needs: Callable[..., None]) -> None:
    needs("groff")
    written = sorted((pages / "man1").iterdir())
    assert {f"lxcwrap-{'-'.join(words)}.1" for words, _ in COMMANDS} <= {page.name for page in written}
    argv = ["groff", "-k", "-man", "-Tutf8", "-ww", "-z", *(f"man1/{page.name}" for page in written)]
    done = subprocess.run(argv, capture_output=True, cwd=pages, check=True)
    assert done.stderr == b""


def test_man_shows_a_page(pages: Path, needs: Callable[..., None]) -> None:
    needs("man")
    argv = ["man", "--warnings=w", "-l", str(pages / "man1" / "lxcwrap-ps.1")]
    done = subprocess.run(argv, capture_output=True, check=True, env={"MANWIDTH": "100", "PATH": "/usr/bin:/bin"})
    text = done.stdout.decode()
    assert done.stderr == b""
    assert "lxcwrap ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'" in re.sub(".\b", "", text)


def test_an_alias_refers_to_its_command(pages: Path) -> None:
    assert (pages / "man1" / "lxcwrap-container-ls.1").read_text() == ".so man1/lxcwrap-ps.1\n"


def test_text_is_no_request_to_roff() -> None:
    @click.command(help=".TH a line\n\n'quoted' \\n -dash\n\n\b\nkept\n  as is")
    def odd() -> None: ...

    text = manual.page(("odd",), odd)
    assert "\n\\&.TH a line\n" in text
    assert "\\(aqquoted\\(aq \\en \\-dash" in text
    assert ".nf\nkept\n  as is\n.fi" in text


def docker_flags() -> list[tuple[str, str, bool]]:
    """``(command, flags of one option, takes a value)`` of Docker's command line, from the golden file."""
    found = []
    for line in GOLDEN.read_text().splitlines():
        if line and not line.startswith("#"):
            command, flags, kind = line.split("\t")
            found.append((command, flags, kind != "switch"))
    return found


def _find(words: list[str]) -> click.Command | None:
    found: click.Command | None = cli
    for word in words:
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), word)
        if found is None:
            return None
    return found


@pytest.mark.parametrize(("name", "flags", "value"), docker_flags(), ids=str)
def test_dockers_flags_are_taken_or_refused_by_name(name: str, flags: str, value: bool) -> None:
    command = _find(name.split())
    if command is None:
        pytest.fail(f"there is no command {name!r}")
    options = {opt: param for param in command.params if isinstance(param, click.Option) for opt in param.opts}
    options |= {opt: param for param in command.get_params(click.Context(command)) for opt in param.opts}
    for flag in flags.split(","):
        assert flag in options
        option = options[flag]
        assert isinstance(option, click.Option)
        assert (not option.is_flag and not option.count) == value or _is_switchable(option)
        if option.hidden and not option.expose_value:
            with pytest.raises(UsageError, match=f"{max(option.opts, key=len)} is not supported: "):
                command.main([flag, *(["x"] if value else [])], standalone_mode=False)


def _is_switchable(option: click.Option) -> bool:
    """Docker's flag takes a value that may be left out."""
    return option.is_flag is False and option.flag_value is not None
