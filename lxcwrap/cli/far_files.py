"""What of a command line is about this machine when the command runs on another: files read, written and copied.

Files that options name are read here and sent along; what would be written there comes back on standard output;
``build`` sends its context as a tar.  Everything else is left as it is typed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import click

from lxcwrap.actions.far import File, Word
from lxcwrap.errors import NotFound, Unsupported

_LARGEST = 32 << 20  # bytes of a file that an option names

# Options whose file is read here and sent along.
_READ = {
    "run": ("--env-file", "--label-file"),
    "create": ("--env-file", "--label-file"),
    "exec": ("--env-file",),
}
# Options whose file standard output goes into.
_OUTPUT = {"save": ("--output",), "export": ("--output",), "volume export": ("--output",)}
# Options whose file, and arguments that, are standard input.
_INPUT = {"load": ("--input",)}
# What writes small files beside its output: the name of the option that does.
_ASIDE = {"run": "--cidfile", "create": "--cidfile", "build": "--iidfile"}


@dataclass(frozen=True)
class Line:
    """A command line for the far side, and what this side does for it."""

    words: tuple[Word, ...]
    input: str = ""  # a file to be standard input
    output: str = ""  # a file that standard output goes into
    context: str = ""  # a folder whose tar is standard input
    flags: frozenset[str] = frozenset()  # the options that were given, by their long names


def _canonical(names: tuple[str, ...]) -> str:
    words = names[1:] if names[:1] in (("container",), ("image",)) and len(names) > 1 else names
    return " ".join(words)


def rewrite(names: tuple[str, ...], command: click.Command, arguments: list[str]) -> Line:
    """``names`` call the command, with these arguments.  Raises LxcwrapError for what cannot be done from afar."""
    known = _canonical(names)
    read, out, into = _READ.get(known, ()), _OUTPUT.get(known, ()), _INPUT.get(known, ())
    words: list[Word] = list(names)
    found: dict[str, str] = {}
    flags: set[str] = set()
    positions: list[int] = []
    for part in _parts(command, arguments):
        flags.add(part.option)
        if part.option and part.option in read:
            words.append(File(f"{part.option}=", _content(part.value)))
        elif part.option and part.option in (*out, *into):
            found["output" if part.option in out else "input"] = part.value
        elif part.option and part.option == _ASIDE.get(known):
            raise Unsupported(f"{part.option} is not there with -H: the command runs on another host")
        else:
            if not part.option and part.words != ("--",):
                positions.append(len(words))
            words += part.words
    return _with_arguments(known, words, positions, found, frozenset(flags))


def _with_arguments(
    known: str, words: list[Word], positions: list[int], found: dict[str, str], flags: frozenset[str]
) -> Line:
    """What arguments (not options) say about this machine."""
    context = ""
    first = str(words[positions[0]]) if positions else ""
    if known in ("import", "volume import"):
        place = positions[0] if known == "import" and positions else positions[1] if len(positions) > 1 else -1
        source = str(words[place]) if place >= 0 else ""
        if source and source != "-" and "://" not in source:
            found["input"], words[place] = source, "-"
    elif known == "build" and first not in ("", "-") and "://" not in first:
        context, words[positions[0]] = first, "-"
    elif known in ("cp", "volume cp"):
        for place in positions:
            text = str(words[place])
            if text != "-" and (":" not in text or text.startswith((".", "/"))):
                raise Unsupported(
                    f"{known} of local files is not there with -H",
                    hint="give - for a tar on standard input or output: tar c FILE | lxcwrap -H HOST cp - NAME:PATH",
                )
    return Line(tuple(words), found.get("input", ""), found.get("output", ""), context, flags)


@dataclass(frozen=True)
class _Part:
    words: tuple[str, ...]  # as typed
    option: str = ""  # its long name; '' for an argument
    value: str = ""


def _parts(command: click.Command, arguments: list[str]) -> Iterator[_Part]:
    """Options with their values, and arguments, in order."""
    options = {
        name: param
        for param in command.params
        if isinstance(param, click.Option)
        for name in (*param.opts, *param.secondary_opts)
    }
    anywhere = command.context_settings.get("allow_interspersed_args", command.allow_interspersed_args)
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--" or word == "-" or not word.startswith("-"):
            if word == "--" or not anywhere:
                yield _Part((word,))
                yield from (_Part((other,)) for other in rest)
                return
            yield _Part((word,))
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            option = options.get(name)
            if option and not equals and not _is_switch(option) and rest:
                value = rest.pop(0)
                yield _Part((word, value), _long(option), value)
            else:
                yield _Part((word,), _long(option) if option else name, value)
        else:
            yield from _short(word, options, rest)


def _short(word: str, options: dict[str, click.Option], rest: list[str]) -> Iterator[_Part]:
    """``-it``, ``-oFILE``, ``-o FILE``."""
    for place, letter in enumerate(word[1:], 2):
        option = options.get(f"-{letter}")
        if not option or _is_switch(option):
            yield _Part((f"-{letter}",), _long(option) if option else f"-{letter}")
            continue
        attached = word[place:].removeprefix("=")
        if not attached and rest:
            attached = rest.pop(0)
        yield _Part((f"-{letter}", attached), _long(option), attached)
        return


def _is_switch(option: click.Option) -> bool:
    return bool(option.is_flag or option.count)


def _long(option: click.Option) -> str:
    return next((name for name in option.opts if name.startswith("--")), option.opts[0])


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise NotFound(f"open {path}: {error.strerror}", exit_code=125) from None
    if len(content) > _LARGEST:
        raise Unsupported(f"{path} is too large to be sent along", exit_code=125)
    return content


@contextmanager
def opened(line: Line, stdin: int) -> Iterator[int]:
    """The descriptor that is the command's standard input; -1 for none."""
    if line.context:
        with _packed(line.context) as stream:
            yield stream.fileno()
        return
    if not line.input or line.input == "-":
        yield stdin
        return
    try:
        descriptor = os.open(line.input, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"open {line.input}: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _packed(folder: str) -> Iterator[BinaryIO]:
    """A pipe that a tar of a build's context comes out of."""
    raise Unsupported("building a local folder is not there with -H", hint="give - and a tar on standard input")
    yield
