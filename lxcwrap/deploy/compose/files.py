"""Compose files read, checked and merged into one document."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lxcwrap.deploy.compose import dotenv, interpolate, source
from lxcwrap.deploy.compose.kinds import nearest, same, settled
from lxcwrap.deploy.compose.node import Mark, Node, wrong
from lxcwrap.deploy.compose.table import FILE
from lxcwrap.deploy.compose.table_service import SERVICE
from lxcwrap.errors import NotFound, UsageError

STDIN = "-"
_NAMED = ("services", "networks", "volumes", "secrets", "configs")
_CHAIN_LIMIT = 20
READ_LIMIT = 300


@dataclass(frozen=True)
class Files:
    """Reads files with one set of variables; ``chain`` are the files that include this one."""

    environment: Mapping[str, str]
    warn: Callable[[str], None]
    chain: tuple[str, ...] = ()
    texts: Mapping[str, bytes] = field(default_factory=dict)  # of files that have been read
    reads: list[str] = field(default_factory=list)  # paths, as often as they were read

    def merged(self, paths: Sequence[str], folder: str) -> Node:
        """All files, later ones over earlier ones; relative paths are relative to ``folder``."""
        document = Node({}, Mark(paths[0], 1, 1, folder))
        for path in paths:
            for layer in self._layers(path, folder):
                document = FILE.merge(document, layer)
        return settled(document)

    def _layers(self, path: str, folder: str) -> list[Node]:
        found = []
        for document in self._read(path, folder):
            extended = self._extended(document, (identity(path),))
            found.append(self._with_included(extended, path))
        return found

    def _read(self, path: str, folder: str) -> list[Node]:
        self.reads.append(path)
        if len(self.reads) > READ_LIMIT:
            raise wrong(path, f"more than {READ_LIMIT} files are included or extended")
        documents = source.documents(self._content(path), path, folder)
        filled = [interpolate.fill(document, self.environment, self.warn) for document in documents]
        return [FILE.read(document, "", self.warn) for document in filled]

    def _content(self, path: str) -> bytes:
        return self.texts[path] if path in self.texts else content(path)

    # ---- extends -------------------------------------------------------------------------------------------------

    def _extended(self, document: Node, chain: tuple[str, ...]) -> Node:
        services = document.child("services")
        if services is None:
            return document
        found = {name: self._service(services, name, chain) for name in services.mapping}
        return document.with_value({**document.mapping, "services": services.with_value(found)})

    def _service(self, services: Node, name: str, chain: tuple[str, ...]) -> Node:
        """A service with what it extends below it.  ``chain``: the file, and services that lead here."""
        service = services.mapping[name]
        extends = service.child("extends")
        if extends is None or extends.tag == "reset":
            return service
        here = f"{chain[0]} {name}"
        if here in chain:
            names = [one.rpartition(" ")[2] for one in chain[1:]]
            raise extends.error(f"services.{name}.extends: a circle: {' extends '.join([*names, name])}")
        if len(chain) > _CHAIN_LIMIT:
            raise extends.error(f"services.{name}.extends: more than {_CHAIN_LIMIT} services, one over the other")
        base = self._base(services, name, extends, (*chain, here))
        own = {key: child for key, child in service.mapping.items() if key != "extends"}
        return SERVICE.merge(settled(base), service.with_value(own))

    def _base(self, services: Node, name: str, extends: Node, chain: tuple[str, ...]) -> Node:
        wanted, path = extends.get("service"), extends.get("file")
        if path is not None:
            path = located(path, extends.mark.folder)
            services = self._services_of(path, extends, name)
            chain = (identity(path), *chain[1:])
        if wanted not in services.mapping or services.mapping[wanted].tag == "reset":
            where = f" in {path}" if path else ""
            raise extends.error(
                f"services.{name}.extends: there is no service {wanted!r:.60}{where}{nearest(wanted, services.mapping)}"
            )
        return self._service(services, wanted, chain)

    def _services_of(self, path: str, extends: Node, name: str) -> Node:
        try:
            documents = self._read(path, os.path.dirname(path))
        except NotFound:
            raise extends.error(f"services.{name}.extends: there is no file {path}") from None
        found = [services for document in documents if (services := document.child("services"))]
        return found[0] if found else extends.with_value({})

    # ---- include -------------------------------------------------------------------------------------------------

    def _with_included(self, document: Node, path: str) -> Node:
        include = document.child("include")
        if include is None:
            return document
        chain = (*self.chain, identity(path))
        found = {key: child for key, child in document.mapping.items() if key != "include"}
        for entry in include.items:
            other = self._included(entry, chain)
            for key in _NAMED:
                if key in other.mapping:
                    found[key] = _joined(found.get(key), other.mapping[key], key)
        return document.with_value(found)

    def _included(self, entry: Node, chain: tuple[str, ...]) -> Node:
        folder = entry.mark.folder
        paths = [located(one.text, folder) for one in entry.child("path").items]  # type: ignore[union-attr]
        for path in paths:
            if identity(path) in chain or len(chain) > _CHAIN_LIMIT:
                raise entry.error(f"include: {path} includes itself")
            if not os.path.exists(path):
                raise entry.error(f"include: there is no file {path}")
        within = located(entry.get("project_directory", default=os.path.dirname(paths[0])), folder)
        listed = entry.child("env_file")
        names = [located(one.text, folder) for one in listed.items] if listed else []
        environment = surroundings(self.environment, names, within, self.warn)
        return replace(self, environment=environment, chain=chain).merged(paths, within)


def _joined(mine: Node | None, theirs: Node, key: str) -> Node:
    for name, node in (mine.mapping if mine else {}).items():
        other = theirs.mapping.get(name)
        if other and not same(node, other):  # two that include the same file have the same
            raise node.error(f"{key}.{name} is in {other.mark.file} too, which is included")
    return (mine or theirs).with_value({**theirs.mapping, **(mine.mapping if mine else {})})


def content(path: str) -> bytes:
    """A file's bytes.  Raises NotFound, UsageError."""
    if path == STDIN:
        return sys.stdin.buffer.read(source.SIZE_LIMIT + 1)
    try:
        with open(path, "rb") as stream:
            return stream.read(source.SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", exit_code=1) from None


def identity(path: str) -> str:
    return path if path == STDIN else os.path.realpath(path)


def located(path: str, folder: str) -> str:
    """A path of the file, on this machine."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def surroundings(
    environment: Mapping[str, str], names: Sequence[str], folder: str, warn: Callable[[str], None]
) -> dict[str, str]:
    """The caller's variables, and below them those of the files ``names``, or of ``.env`` in ``folder``."""
    found: dict[str, str] = {}
    for path in names or [os.path.join(folder, ".env")]:
        text = dotenv.read(path, path)
        if text is None and names:
            raise wrong(path, "there is no such file of variables")
        found.update(dotenv.parse(text or "", path, environment, warn, earlier=found))
    return {**found, **environment}
