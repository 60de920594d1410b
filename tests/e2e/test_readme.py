"""The README's tour: every command of it is run as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import click
import pytest

from lxcwrap.build import instructions
from lxcwrap.cli.main import cli as lxcwrap_group

CHECKOUT = Path(__file__).resolve().parents[2]
README = (CHECKOUT / "README.rst").read_text()
TITLE = "A two-minute tour\n-----------------\n"


def tour() -> list[str]:
    """The commands of the tour's literal blocks, without their prompt."""
    section = README.partition(TITLE)[2]
    section = re.split(r"\n-{4,}\n", section)[0]
    return re.findall(r"^    # (.+)$", section, re.MULTILINE)


@pytest.fixture(scope="module")
def shell(cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a shell in which ``lxcwrap`` is the command under test."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "lxcwrap"
    program.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in cli.program) + ' "$@"\n')
    program.chmod(0o755)
    yield {**cli.environment, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_the_tour_works_as_printed(shell: dict[str, str]) -> None:
    commands = tour()
    assert len(commands) > 20
    outputs = {}
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=CHECKOUT,
            env=shell,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        outputs[command] = done.stdout
    assert outputs['lxcwrap run --rm busybox echo "Hello from a container"'] == "Hello from a container\n"
    assert "Changed by hand." in outputs["lxcwrap run --rm hello:2 cat /www/index.html"]
    assert any(output == "Buy milk\n" for output in outputs.values())


def test_every_command_in_the_readme_exists() -> None:
    context = lxcwrap_group.make_context("lxcwrap", ["ps"], resilient_parsing=True)
    named = set(re.findall(r"\blxcwrap ([a-z]+)\b", README)) - {"gives", "does", "is", "beside"}
    assert not {name for name in named if not lxcwrap_group.get_command(context, name)}


def options(command: click.Command, context: click.Context) -> set[str]:
    """All flags of a command and of those below it."""
    found = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found |= options(below, context)
    return found


def instruction_flags() -> set[str]:
    """The flags that Dockerfile instructions take, and those whose refusal is documented."""
    modules = [import_module(f"{instructions.__name__}.{each.name}") for each in iter_modules(instructions.__path__)]
    names = [name for each in modules for kind in ("FLAGS", "LATER_FLAGS") for name in getattr(each, kind, ())]
    return {f"--{name}" for name in names}


# of other programs, of install.sh, and click's own
OTHERS = {"--numeric-ids", "--numeric-owner", "--xattrs", "--no-install-recommends", "--system-site-packages"}
OTHERS |= {"--yes", "--keep", "--help"}
OTHERS |= {"--permanent", "--reload", "--zone", "--add-interface", "--ctstate"}  # firewall-cmd, iptables


@pytest.mark.parametrize("path", ["README.rst", *sorted(f"docs/{each.name}" for each in CHECKOUT.glob("docs/*.rst"))])
def test_every_flag_in_the_guide_exists(path: str) -> None:
    context = lxcwrap_group.make_context("lxcwrap", ["ps"], resilient_parsing=True)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", (CHECKOUT / path).read_text()))
    assert named <= options(lxcwrap_group, context) | instruction_flags() | OTHERS


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"<((?!https?:)[^>]+)>`_", README):
        assert (CHECKOUT / target).exists(), target
