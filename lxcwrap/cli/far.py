"""``-H HOST`` before a command: run it there.  Several hosts: side by side, their output labelled.

Loaded only when a command line names a host.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lxcwrap.actions import far
from lxcwrap.cli import far_files
from lxcwrap.cli.keyboard import Keyboard
from lxcwrap.cli.labelled import Labelled
from lxcwrap.cli.terminal import printable
from lxcwrap.errors import LxcwrapError, UsageError
from lxcwrap.model import hosts as model
from lxcwrap.model.hosts import Host

if TYPE_CHECKING:
    from lxcwrap.archive.compression import Sink

# These have a terminal there when there is one here.
_TERMINAL = ("login", "pull", "push", "copy", "attach", "top", "stats", "search")
_LIVE = ("run", "exec", "start")  # have one there when they are given one


def run(arguments: Sequence[str], text: str) -> int:
    """Run the command line on the hosts that ``text`` names; its exit code, or 1 when one of several failed."""
    from lxcwrap.remote import hosts

    before, names, command, rest = _resolve(arguments)
    line = far_files.rewrite(names, command, rest)
    chosen = model.select(hosts.read(), text)
    if len(chosen) == 1:
        return _on_one(chosen[0], before, far.Request((), *_terminal(names, line)), line)
    return _on_all(chosen, far.Request((*before, *line.words)), line)


def _resolve(arguments: Sequence[str]) -> tuple[list[str], tuple[str, ...], click.Command, list[str]]:
    """Global options to be passed on, the words that name the command, the command, and its arguments."""
    words = list(arguments)
    before: list[str] = []
    while words and words[0].startswith("-"):
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if name in ("-H", "--host"):
            if not equals:
                words.pop(0)
        elif name in ("--root", "--storage-driver"):
            before += [word] if equals else [word, words.pop(0)]
        elif not word.startswith("-H"):
            before.append(word)
    from lxcwrap.cli.main import cli

    context = click.Context(cli, info_name="lxcwrap")
    names: list[str] = []
    command: click.Command = cli
    while isinstance(command, click.Group):
        if not words:
            raise UsageError(f"{' '.join(('lxcwrap', *names))}: name a command", exit_code=1)
        _, found, _ = command.resolve_command(context, list(words))
        assert found
        names.append(words.pop(0))
        command = found
    from lxcwrap.cli.flags import plain

    return before, tuple(names), command, plain(command, words)


def _terminal(names: tuple[str, ...], line: far_files.Line) -> tuple[str, tuple[int, int]]:
    """The kind and size of the terminal that the command gets there; '' for none."""
    from lxcwrap.runtime.attach import terminal_size

    name = names[-1]
    wanted = (
        name in _TERMINAL or (name in _LIVE and "--tty" in line.flags) or (name == "start" and "--attach" in line.flags)
    )
    if not wanted or line.input or line.copied[0] or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "", (0, 0)
    return os.environ.get("TERM", "xterm"), terminal_size() or (24, 80)


class _Streams:
    """A command's output, as it is."""

    def __init__(self, out: int) -> None:
        self._out = out

    def out(self, content: bytes) -> None:
        from lxcwrap.runtime.attach import write_all

        write_all(self._out, content)

    def err(self, content: bytes) -> None:
        from lxcwrap.runtime.attach import write_all

        write_all(2, content)


def _on_one(host: Host, before: list[str], request: far.Request, line: far_files.Line) -> int:
    from lxcwrap.cli.written import written
    from lxcwrap.remote import ssh

    ask = Keyboard()
    with ssh.connect(host, ask) as connection, far_files.opened(line, 0) as (stdin, words):
        request = replace(request, words=(*before, *words))
        if line.copied[0] and not line.sent:
            return _received(connection, request, line, ask)
        if not line.output:
            return far.Interactive(connection, request, _Streams(1), ask).run(stdin)
        with written(line.output) as stream:
            code = far.Interactive(connection, request, _Sink(stream.write), ask).run(-1)
            if code:
                raise click.exceptions.Exit(code)  # and nothing is written
            return code


def _received(connection: far.Connection, request: far.Request, line: far_files.Line, ask: Keyboard) -> int:
    """``cp`` from there to here."""
    from lxcwrap.actions import far_files as streams
    from lxcwrap.archive.pipeline import transfer

    codes: list[int] = []
    source, target = line.copied

    def produce(out: Sink) -> None:
        codes.append(far.run(connection, request, _Sink(out.write), ask))

    try:
        transfer(produce, lambda stream: streams.place(stream, source, target, archive="--archive" in line.flags))
    except LxcwrapError:
        if not codes or not codes[0]:
            raise
        return codes[0]  # what went wrong there has been said
    return codes[0]


class _Sink(_Streams):
    """Standard output goes into a file."""

    def __init__(self, write: object) -> None:
        super().__init__(1)
        self._write = write

    def out(self, content: bytes) -> None:
        self._write(content)  # type: ignore[operator]


def _on_all(chosen: tuple[Host, ...], request: far.Request, line: far_files.Line) -> int:
    """Side by side, without input; a summary of what failed."""
    if {"--interactive", "--tty"} & line.flags:
        raise UsageError("-i and -t go to one host", hint="name one with -H")
    if line.output or line.input or line.context or line.copied[0]:
        raise UsageError("files go to and come from one host", hint="name one with -H")
    from lxcwrap.actions import hosts
    from lxcwrap.remote import ssh  # once, before the threads

    ask = Keyboard()
    width = max(len(host.name) for host in chosen)

    def one(host: Host) -> int | LxcwrapError:
        output = Labelled(f"{host.name:{width}}")
        try:
            with ssh.connect(host, ask) as connection:
                return far.run(connection, request, output, ask)
        except LxcwrapError as error:
            return error
        finally:
            output.end()

    results = list(hosts.side_by_side(chosen, one))
    failed = 0
    for host, result in zip(chosen, results, strict=True):
        if isinstance(result, LxcwrapError):
            hint = f" ({printable(result.hint)})" if result.hint else ""
            print(f"lxcwrap: {printable(result.message)}{hint}", file=sys.stderr)
        elif result:
            print(f"lxcwrap: {host.name}: exit code {result}", file=sys.stderr)
        failed += bool(result)
    if failed:
        print(f"lxcwrap: {failed} of {len(chosen)} hosts failed", file=sys.stderr)
    return int(failed > 0)
