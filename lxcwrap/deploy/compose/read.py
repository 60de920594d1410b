"""Compose files made an application."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lxcwrap.deploy.application import Application, Condition, Dependency, Service, Volume
from lxcwrap.deploy.compose import contents, flags, hooks, interpolate, mounts, networks, order, source, table
from lxcwrap.deploy.compose.files import Files, content, surroundings
from lxcwrap.deploy.compose.model import Model, is_external
from lxcwrap.deploy.compose.node import Node, wrong
from lxcwrap.deploy.compose.scalars import checked
from lxcwrap.deploy.compose.service import compiled
from lxcwrap.errors import UsageError
from lxcwrap.model.volume_options import parse as volume_options

NAME = "COMPOSE_PROJECT_NAME"
PROFILES = "COMPOSE_PROFILES"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NAME_HINT = "lower-case letters, digits, '-' and '_', beginning with a letter or digit"


@dataclass(frozen=True)
class Read:
    """``model`` has the merged document."""

    application: Application
    warnings: tuple[str, ...]
    model: Model


def read(
    files: Sequence[str],
    environment: Mapping[str, str],
    project: str = "",
    profiles: Sequence[str] = (),
    env_files: Sequence[str] = (),
    folder: str = "",
) -> Read:
    """The application that ``files`` describe.

    ``environment``: the caller's variables, which go before those of ``env_files`` (default: ``.env`` beside the first
    file).  ``project``: its name, in place of the files'.  ``profiles``: default COMPOSE_PROFILES.  ``folder``: what
    relative paths are relative to, in place of the first file's.  Raises UsageError, Unsafe or NotFound, naming file
    and line.
    """
    warnings: dict[str, None] = {}

    def warn(line: str) -> None:
        warnings[line] = None

    folder = _folder(files, folder)
    variables = surroundings(environment, env_files, folder, warn)
    texts = {path: content(path) for path in files}
    name = _name(project or variables.get(NAME, ""), texts, variables, folder)
    variables[NAME] = name
    document = Files(variables, warn, texts=texts).merged(list(files), folder)
    chosen = profiles or [word.strip() for word in variables.get(PROFILES, "").split(",") if word.strip()]
    model = _model(name, document, chosen, variables, warn)
    return Read(application(model), tuple(warnings), model)


def project_name(
    files: Sequence[str], environment: Mapping[str, str], env_files: Sequence[str] = (), folder: str = ""
) -> str:
    """The name that ``read`` gives the application, whatever else is in the files."""
    folder = _folder(files, folder)
    variables = surroundings(environment, env_files, folder, lambda line: None)
    if variables.get(NAME):
        return _name(variables[NAME], {}, variables, folder)
    return _name("", {path: content(path) for path in files}, variables, folder)


def _folder(files: Sequence[str], given: str) -> str:
    return os.path.abspath(given or os.path.dirname(files[0]))


def check_project(name: str) -> str:
    """Raises UsageError."""
    error = UsageError(f"project name {name!r:.60} is not allowed", hint=_NAME_HINT, exit_code=1)
    return _checked_name(name, error)


def _name(given: str, texts: Mapping[str, bytes], environment: Mapping[str, str], folder: str) -> str:
    """The project's name: what was asked for, else the files', else the folder's."""
    if given:
        return check_project(given)
    nodes = [
        node
        for path, data in texts.items()
        for document in source.documents(data, path, folder)
        if (node := document.child("name")) and node.value is not None
    ]
    if nodes:
        node = interpolate.fill(nodes[-1], environment, lambda line: None)
        return _checked_name(str(node.value), node.error(f"name: {node.text!r:.60} is not allowed", _NAME_HINT))
    name = re.sub(r"[^a-z0-9_-]", "", os.path.basename(folder).lower()).lstrip("_-")
    return _checked_name(name, wrong(next(iter(texts)), "the folder's name is none for a project", "give one with -p"))


def _checked_name(name: str, error: Exception) -> str:
    if not _NAME.fullmatch(name) or len(name) > 60:
        raise error
    return name


def _model(
    name: str, document: Node, profiles: Sequence[str], variables: Mapping[str, str], warn: Callable[[str], None]
) -> Model:
    services = document.child("services")
    if services is None or not services.mapping:
        raise document.error("there are no services")
    return Model(name, document, order.active(services.mapping, profiles), variables, warn)


def application(model: Model) -> Application:
    """What the merged document asks for."""
    return Application(
        name=model.name,
        services=_services(model),
        networks=networks.used(model),
        volumes=_volumes(model),
        secrets=contents.listed(model, "secrets"),
        configs=contents.listed(model, "configs"),
        hooks=hooks.listed(model),
        hosts=hooks.hosts(model),
    )


def _services(model: Model) -> tuple[Service, ...]:
    known = model.entries("services")
    needs: dict[str, tuple[Dependency, ...]] = {
        name: order.dependencies(name, model.services, known) for name in model.services
    }
    awaited = {one.service for others in needs.values() for one in others if one.condition is Condition.COMPLETED}
    names = order.sorted_names({name: tuple(one.service for one in others) for name, others in needs.items()},
                               model.services)  # fmt: skip
    return tuple(compiled(model, name, needs[name], runs_once=name in awaited) for name in names)


def _volumes(model: Model) -> tuple[Volume, ...]:
    """The named volumes that services use, in the file's order."""
    used = set()
    for service in model.services.values():
        used |= mounts.named(service)
    found = []
    for name, entry in model.entries("volumes").items():
        if name in used:
            external = is_external(entry)
            words = () if external else tuple(flags.of(table.VOLUME, entry))
            options = tuple(word.removeprefix("--opt=") for word in words if word.startswith("--opt="))
            checked(entry, f"volumes.{name}", lambda _, options=options: volume_options(options))  # type: ignore[misc]
            shared = entry.get("x-lxcwrap", "shared", default=False)
            found.append(Volume(name, model.key(name, entry), external, words, shared))
    return tuple(found)
