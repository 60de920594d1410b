"""What of a command line is about this machine when the command runs on another: files read, written and copied.

Files that options name are read here and sent along; what would be written there comes back on standard output;
``build`` sends its context as a tar.  Everything else is left as it is typed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from lxcwrap.actions.copy_paths import contents_only, split
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
    dockerfile: str = ""  # of that context
    copied: tuple[str, str] = ("", "")  # the two words of cp, where one is a path of here
    sent: bool = False  # that path is the first
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
        elif part.option == "--file" and known == "build":
            found["dockerfile"] = part.value
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
        return Line(tuple(words), context=context, dockerfile=found.get("dockerfile", ""), flags=flags)
    elif known in ("cp", "volume cp") and len(positions) == 2:
        return _copied(known, words, positions, flags)
    if "dockerfile" in found:
        words[len(known.split()) : len(known.split())] = ["--file", found["dockerfile"]]
    return Line(tuple(words), found.get("input", ""), found.get("output", ""), flags=flags)


def _copied(known: str, words: list[Word], positions: list[int], flags: frozenset[str]) -> Line:
    """``cp``: what is local goes as a tar, or comes as one."""
    source, target = (str(words[place]) for place in positions)
    (from_name, _), (to_name, _) = split(source), split(target)
    if bool(from_name) == bool(to_name):
        return Line(tuple(words), flags=flags)  # refused there as it is here
    if from_name:
        if target == "-":
            return Line(tuple(words), flags=flags)
        words[positions[1]] = "-"
        return Line(tuple(words), flags=flags, copied=(source, target))
    if source == "-":
        return Line(tuple(words), flags=flags)
    kept = [word for word in words if word in ("-a", "--archive", "-q", "--quiet")]
    name = source.rstrip("/") if not contents_only(source) else "."
    receive = ["receive", *(["--volume"] if known.startswith("volume") else []), *kept, os.path.basename(name), target]
    return Line(tuple(receive), flags=flags, copied=(source, target), sent=True)


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
def opened(line: Line, stdin: int) -> Iterator[tuple[int, tuple[Word, ...]]]:
    """The descriptor that is the command's standard input (-1 for none), and the words of the command."""
    from lxcwrap.actions import far_files

    if line.context:
        with (
            far_files.build_context(line.context, line.dockerfile, sys.stdin.buffer) as (produce, dockerfile),
            far_files.written_by(produce) as descriptor,
        ):
            yield descriptor, (*line.words, File("--file=", dockerfile))
    elif line.sent:
        with far_files.written_by(far_files.source(line.copied[0], follow="--follow-link" in line.flags)) as descriptor:
            yield descriptor, line.words
    elif line.copied[0]:
        yield -1, line.words
    elif line.input and line.input != "-":
        with _file(line.input) as descriptor:
            yield descriptor, line.words
    else:
        yield stdin, line.words


@contextmanager
def _file(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"open {path}: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)
