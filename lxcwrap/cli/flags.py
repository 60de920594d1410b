"""Yes-or-no flags with a value, as Go programs take them: ``--rm=true``, ``--no-cache=false``, ``-d=1``."""

from __future__ import annotations

import click

from lxcwrap.errors import UsageError

_TRUTH = {**dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
          **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)}  # fmt: skip


def plain(command: click.Command, arguments: list[str]) -> list[str]:
    """The arguments with ``--flag=true`` as ``--flag``; false leaves the flag out, or gives its opposite.

    Words after the command's own arguments are left alone.  Raises UsageError for another value.
    """
    if not any("=" in word and word.startswith("-") for word in arguments):
        return arguments
    options = {name: param for param in command.params if isinstance(param, click.Option) for name in param.opts}
    anywhere = command.context_settings.get("allow_interspersed_args", command.allow_interspersed_args)
    result: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--" or (not word.startswith("-") and not anywhere):
            return [*result, word, *rest]
        name, equals, value = word.partition("=")
        option = options.get(name)
        if equals and option and option.is_flag:
            result += _replaced(option, name, value)
            continue
        result.append(word)
        if rest and _wants_value(word, options):
            result.append(rest.pop(0))
    return result


def _replaced(option: click.Option, name: str, value: str) -> list[str]:
    if value not in _TRUTH:
        raise UsageError(f"invalid value {value!r} for {name}", hint="write true or false")
    if _TRUTH[value] or option.hidden:  # a flag that is refused stays, and is refused
        return [name]
    return option.secondary_opts[:1]


def _wants_value(word: str, options: dict[str, click.Option]) -> bool:
    """Whether the next word belongs to this one: ``--name``, ``-n``, or ``-itn`` where n takes a value."""
    if word.startswith("--"):
        option = options.get(word)
        return bool(option) and not _is_switch(options[word])
    for place, letter in enumerate(word[1:], 2):
        option = options.get("-" + letter)
        if option and not _is_switch(option):
            return place == len(word)
    return False


def _is_switch(option: click.Option) -> bool:
    return option.is_flag or option.count
