"""What a planned stage consists of: frozen, fully expanded, nothing left to decide but whether the cache has it."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.build.line import Line


@dataclass(frozen=True)
class Metadata:
    """A step that only changes the image's configuration: a line of history."""

    line: Line
    created_by: str


@dataclass(frozen=True)
class Run:
    """A command in a container."""

    line: Line
    created_by: str
    argv: tuple[str, ...]
    env: tuple[str, ...]  # complete, arguments included
    unkeyed: tuple[str, ...]  # NAME=value that do not decide about the cache: proxies
    working_dir: str
    user: str


@dataclass(frozen=True)
class Copy:
    """COPY and ADD.  ``origin`` '' is the context, else a stage's name, its number, or an image.

    ``sources`` are patterns beneath the origin's root (ADD: URLs too); ``target`` is absolute and ends with a
    slash where it must be a directory.
    """

    line: Line
    created_by: str
    sources: tuple[str, ...]
    target: str
    origin: str = ""
    owner: str = ""  # user[:group], names or numbers
    mode: int | None = None
    unpacks: bool = False  # ADD: archives are extracted, URLs downloaded


@dataclass(frozen=True)
class MakeDirectory:
    """WORKDIR: the directory is made where it is missing, for the user that was set before."""

    line: Line
    created_by: str
    path: str
    owner: str = ""


Step = Metadata | Run | Copy | MakeDirectory
