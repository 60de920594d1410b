"""How a service's image is built."""

from __future__ import annotations

import os
from collections.abc import Iterator

from lxcwrap.deploy.application import Build
from lxcwrap.deploy.compose import flags
from lxcwrap.deploy.compose.files import located
from lxcwrap.deploy.compose.model import Model
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import checked
from lxcwrap.deploy.compose.table_deploy import BUILD
from lxcwrap.model import reference

_REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/", "docker-image://", "oci-layout://")


def image(model: Model, name: str, service: Node) -> str:
    """The image's reference; of one that is built, unless the file names it, PROJECT-SERVICE."""
    node = service.child("image")
    place = f"services.{name}"
    if node is None:
        if not service.child("build"):
            raise service.error(f"{place}: neither image nor build says what it is made from")
        node = Node(text := f"{model.name}-{name.lower()}", service.mark, text)
    checked(node, f"{place}.image", reference.parse)
    return node.text


def build(model: Model, name: str, service: Node, image: str) -> Build | None:
    node = service.child("build")
    if node is None:
        return None
    place = f"services.{name}.build"
    context = node.get("context", default=".")
    if context.startswith(_REMOTE):
        raise node.error(f"{place}: {context:.80} is not on this machine", "get the files first")
    folder = located(context, node.mark.folder)
    inline = node.get("dockerfile_inline", default="")
    words = (f"--tag={image}", *_dockerfile(node, folder, place), *_words(model, node, place))
    return Build(folder, words, inline)


def _dockerfile(node: Node, folder: str, place: str) -> Iterator[str]:
    name = node.child("dockerfile")
    if node.child("dockerfile_inline"):
        if name:
            raise name.error(f"{place}: dockerfile and dockerfile_inline exclude each other")
        yield "--file=-"
    elif name:
        yield f"--file={os.path.normpath(os.path.join(folder, name.text))}"


def _words(model: Model, node: Node, place: str) -> Iterator[str]:
    platforms = node.child("platforms")
    if platforms and len(platforms.items) > 1:
        raise platforms.error(f"{place}.platforms: an image is built for one platform at a time")
    given = node.child("args")
    if given:
        node = node.with_value({**node.mapping, "args": given.with_value(dict(arguments(model, given)))})
    yield from flags.of(BUILD.long, node)


def arguments(model: Model, node: Node) -> Iterator[tuple[str, Node]]:
    """Those without a value take the caller's, or stay away."""
    for name, value in node.mapping.items():
        if value.value is not None:
            yield name, value
        elif name in model.environment:
            yield name, Node(model.environment[name], value.mark, model.environment[name], quoted=True)
