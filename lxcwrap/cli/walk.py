"""All commands there are: for manual pages, completion and tests."""

from __future__ import annotations

from collections.abc import Iterator

import click


def every(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """``(words, command)`` of the group itself and everything in it, aliases too; hidden commands are left out."""
    yield words, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from every(command, (*words, name))
        else:
            yield (*words, name), command
