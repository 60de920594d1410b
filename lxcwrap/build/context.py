"""What a build is given: the Dockerfile's text and the context, from a folder or from stdin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from lxcwrap.archive import compression
from lxcwrap.build import ignore, unpack
from lxcwrap.build.tree import Tree
from lxcwrap.errors import BuildError, NotFound, Unsupported, UsageError
from lxcwrap.kernel import beneath

DEFAULT_NAME = "Dockerfile"
STDIN = "-"
DOCKERFILE_LIMIT = 16 * 1024 * 1024  # bytes
_REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")
_SNIFFED = 64 * 1024


@dataclass(frozen=True)
class Context:
    """``name`` is how messages call the Dockerfile."""

    tree: Tree
    text: str
    name: str


@contextmanager
def opened(place: str, dockerfile: str, stdin: BinaryIO, staging: str) -> Iterator[Context]:
    """The context at ``place`` (a folder, or ``-``) with the Dockerfile at ``dockerfile`` ('' for the usual name).

    Raises NotFound, UsageError, BuildError, Unsupported, or what a broken archive raises.
    """
    if place == STDIN and dockerfile == STDIN:
        raise UsageError("stdin cannot be both the context and the Dockerfile", exit_code=1)
    context = _from_stdin(dockerfile, stdin, staging) if place == STDIN else _folder(place, dockerfile, stdin)
    try:
        yield context
    finally:
        context.tree.close()


def _folder(place: str, dockerfile: str, stdin: BinaryIO) -> Context:
    if place.startswith(_REMOTE) and not os.path.exists(place):
        hint = "fetch it first, and give the folder"
        raise Unsupported(f"a build context from a URL is not supported yet: {place:.200}", hint=hint)
    if not os.path.isdir(place):
        what = "is not a directory" if os.path.exists(place) else "no such directory"
        raise NotFound(f"build context {place}: {what}")
    if dockerfile == STDIN:
        return Context(_tree(place, ""), _text(stdin.read(DOCKERFILE_LIMIT + 1), DEFAULT_NAME), DEFAULT_NAME)
    path = _dockerfile_path(place, dockerfile)
    try:
        with open(path, "rb") as stream:
            content = stream.read(DOCKERFILE_LIMIT + 1)
    except FileNotFoundError:
        raise NotFound(f"no Dockerfile at {path}", hint="name it with -f") from None
    except IsADirectoryError:
        raise NotFound(f"{path} is a directory, not a Dockerfile") from None
    name = dockerfile or os.path.relpath(path, place)
    return Context(_tree(place, path), _text(content, name), name)


def _dockerfile_path(place: str, dockerfile: str) -> str:
    if dockerfile:
        inside = os.path.join(place, dockerfile)
        return inside if not os.path.exists(dockerfile) and os.path.exists(inside) else dockerfile
    path = os.path.join(place, DEFAULT_NAME)
    lower = os.path.join(place, DEFAULT_NAME.lower())
    return lower if not os.path.exists(path) and os.path.exists(lower) else path


def _tree(place: str, dockerfile: str) -> Tree:
    """The folder without what the Dockerfile's own ignore file, or else .dockerignore, leaves out."""
    for path in filter(None, (f"{dockerfile}.dockerignore" if dockerfile else "", f"{place}/.dockerignore")):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                return Tree(place, ignore.parse(stream.read(), os.path.basename(path)), is_context=True)
        except FileNotFoundError:
            continue
    return Tree(place, is_context=True)


def _from_stdin(dockerfile: str, stdin: BinaryIO, staging: str) -> Context:
    """A tar archive, compressed or not, or else the text of a Dockerfile without any context."""
    folder = f"{staging}/context"
    os.mkdir(folder, 0o700)
    first = stdin.read(_SNIFFED)
    if not first:
        raise UsageError("stdin is empty", hint="pipe a Dockerfile or a tar archive into it", exit_code=1)
    if not compression.is_compressed(first) and not unpack.is_tar_header(first[:512]):
        text = _text(first + stdin.read(DOCKERFILE_LIMIT), DEFAULT_NAME)
        return Context(Tree(folder, is_context=True), text, DEFAULT_NAME)
    from lxcwrap.archive.extract import extract  # a context from a folder needs none

    extract(compression.reader(compression.Prefixed(first, stdin)), folder)
    name = dockerfile or DEFAULT_NAME
    if name.startswith("/"):  # not of the archive
        return Context(Tree(folder, _rules(folder, DEFAULT_NAME), is_context=True), _outside(name), DEFAULT_NAME)
    text = _text(_read(folder, name), name)
    return Context(Tree(folder, _rules(folder, name), is_context=True), text, name)


def _rules(folder: str, name: str) -> ignore.Ignore:
    own = _read_if_there(folder, f"{name}.dockerignore")
    rules = own if own is not None else _read_if_there(folder, ".dockerignore")
    return ignore.parse((rules or b"").decode(errors="surrogateescape"), ".dockerignore")


def _outside(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return _text(stream.read(DOCKERFILE_LIMIT + 1), DEFAULT_NAME)
    except OSError as error:
        raise NotFound(f"no Dockerfile at {path}: {error.strerror}") from None


def _read(folder: str, name: str) -> bytes:
    found = _read_if_there(folder, name)
    if found is None:
        raise NotFound(f"the archive on stdin has no {name}", hint="name its Dockerfile with -f")
    return found


def _read_if_there(folder: str, name: str) -> bytes | None:
    try:
        return beneath.read_file(folder, name, DOCKERFILE_LIMIT + 1)
    except OSError:
        return None


def _text(content: bytes, name: str) -> str:
    if len(content) > DOCKERFILE_LIMIT:
        raise BuildError(f"{name}: larger than {DOCKERFILE_LIMIT} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BuildError(f"{name}:{line}: not UTF-8 text") from None
    if "\0" in text:
        raise BuildError(f"{name}:{text.count(chr(10), 0, text.index(chr(0))) + 1}: a NUL character")
    return text
