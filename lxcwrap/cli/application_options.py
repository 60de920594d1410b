"""The options of commands that work on an application, and how its Compose files are found and read.

YAML and what reads it are imported only when files are read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lxcwrap.cli.refused import all_of

if TYPE_CHECKING:
    from lxcwrap.deploy.application import Application
    from lxcwrap.deploy.compose.read import Read

F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDES = {"compose": "compose.override", "docker-compose": "docker-compose.override"}


application_options = all_of(
    click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        metavar="FILE",
        help="Compose file, or -; several are merged [default: compose.yaml, here or in a folder above].",
    ),
    click.option("-p", "--project-name", "project", default="", metavar="NAME", help="The application's name."),
    click.option("--profile", "profiles", multiple=True, metavar="NAME", help="Services of this profile, too."),
    click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Variables for it [default: .env]."),
    click.option(
        "--project-directory",
        "folder",
        default="",
        metavar="DIR",
        help="What paths in it are relative to [default: the first file's folder].",
    ),
)


def read(options: Mapping[str, Any], file: str = "") -> Application:
    """The application that the options name; warnings go to stderr.  Raises what ``load`` does."""
    application, warnings = load(options, file)
    show(warnings)
    return application


def load(options: Mapping[str, Any], file: str = "") -> tuple[Application, tuple[str, ...]]:
    """The application, and a line for each thing that is odd.  ``file``: one that is named without a flag.

    What its secrets and configs take from variables is in this process's environment afterwards, wherever it was set.
    Raises UsageError, Unsafe or NotFound, in one line.
    """
    from lxcwrap.deploy.application import Source

    found = load_model(options, file)
    for content in (*found.application.secrets, *found.application.configs):
        if content.source is Source.ENVIRONMENT and content.value in found.model.environment:
            os.environ.setdefault(content.value, found.model.environment[content.value])
    return found.application, found.warnings


def load_model(options: Mapping[str, Any], file: str = "") -> Read:
    from lxcwrap.deploy.compose import read as reader

    around, named = _surroundings(options), _env_files(options)
    paths = _files(options, around, file)
    return reader.read(paths, around, options["project"], options["profiles"], named, options["folder"])


def name(options: Mapping[str, Any], file: str = "") -> str:
    """The application's name, whatever else is in its files."""
    from lxcwrap.deploy.compose import read as reader

    if options["project"]:
        return reader.check_project(options["project"])
    around = _surroundings(options)
    if around.get(reader.NAME):
        return reader.check_project(around[reader.NAME])
    return reader.project_name(_files(options, around, file), around, _env_files(options), options["folder"])


def show(warnings: tuple[str, ...]) -> None:
    from lxcwrap.cli.terminal import printable

    for line in warnings:
        print(f"lxcwrap: warning: {printable(line)}", file=sys.stderr)


def files(options: Mapping[str, Any], file: str = "") -> list[str]:
    """The Compose files: those that were named, else COMPOSE_FILE's, else those of the nearest folder that has one."""
    return _files(options, _surroundings(options), file)


def _surroundings(options: Mapping[str, Any]) -> dict[str, str]:
    """The caller's variables, and below them those of ``.env`` where the caller is, or of the files that are named."""
    from lxcwrap.deploy.compose.files import surroundings

    return surroundings(os.environ, _env_files(options), os.curdir, lambda line: None)


def _files(options: Mapping[str, Any], variables: Mapping[str, str], file: str) -> list[str]:
    named = [*([file] if file else []), *options["files"]]
    if named:
        return named
    folder = options["folder"] or os.curdir
    listed = variables.get("COMPOSE_FILE", "")
    if listed:
        separator = variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        return [os.path.normpath(os.path.join(folder, path)) for path in listed.split(separator) if path]
    return _searched(os.path.abspath(folder))


def _env_files(options: Mapping[str, Any]) -> list[str]:
    named = list(options["env_files"])
    return named or [path for path in os.environ.get("COMPOSE_ENV_FILES", "").split(",") if path]


def _searched(start: str) -> list[str]:
    """The file with a usual name in ``start`` or the nearest folder above, and the one that overrides it."""
    folder = start
    while True:
        for file in NAMES:
            path = os.path.join(folder, file)
            if os.path.isfile(path):
                return [os.path.relpath(one) for one in (path, *_override(path))]
        above = os.path.dirname(folder)
        if above == folder:
            raise _missing(start)
        folder = above


def _override(path: str) -> list[str]:
    folder, file = os.path.split(path)
    stem = _OVERRIDES[os.path.splitext(file)[0]]
    found = [os.path.join(folder, f"{stem}{ending}") for ending in (".yaml", ".yml")]
    return [path for path in found if os.path.isfile(path)][:1]


def _missing(folder: str) -> Exception:
    from lxcwrap.errors import NotFound

    return NotFound(f"there is no {NAMES[0]} in {folder} or above it", hint="name the file with -f")
