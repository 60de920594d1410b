"""Manual pages, made from the same texts as ``--help``.

Source: man(7), groff_man(7).
"""

from __future__ import annotations

import inspect
import os
import re

import click

from lxcwrap import __version__
from lxcwrap.cli.walk import every

_EMPTY = "\\&"  # an empty line of text


def write(group: click.Group, directory: str) -> list[str]:
    """A page for each command into ``directory``; an alias refers to the page of its command.  Returns file names."""
    pages: dict[click.Command, str] = {}
    written = []
    for words, command in sorted(every(group), key=lambda item: (len(item[0]), item[0])):
        name = "-".join(("lxcwrap", *words))
        first = pages.setdefault(command, name)
        text = page(words, command) if first == name else f".so man1/{first}.1\n"
        with open(os.path.join(directory, f"{name}.1"), "w", encoding="utf-8") as stream:
            stream.write(text)
        written.append(f"{name}.1")
    return written


def page(words: tuple[str, ...], command: click.Command) -> str:
    """One page in man(7)'s language."""
    name = "-".join(("lxcwrap", *words))
    context = click.Context(command, info_name=" ".join(("lxcwrap", *words)))
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f'.TH {name.upper()} 1 "" "lxcwrap {__version__}" "User Commands"',
        f".SH NAME\n{_escape(name)} \\- {_escape(command.get_short_help_str(200).rstrip('.'))}",
        f".SH SYNOPSIS\n.B {_escape(context.info_name or '')}\n{_escape(usage)}",
        f".SH DESCRIPTION\n{_paragraphs(command.help or '')}",
        _options(command, context),
        _commands(command, context, name),
        _examples(command.epilog or ""),
        f".SH SEE ALSO\n.BR lxcwrap (1){_parent(words)}",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _parent(words: tuple[str, ...]) -> str:
    return ",\n.BR " + _escape("-".join(("lxcwrap", *words[:-1]))) + " (1)" if len(words) > 1 else ""


def _options(command: click.Command, context: click.Context) -> str:
    records = [param.get_help_record(context) for param in command.get_params(context)]
    lines = [_option(*record) for record in records if record]
    return "\n".join([".SH OPTIONS", *lines]) if lines else ""


def _option(flags: str, text: str) -> str:
    return f".TP\n.B {_escape(flags)}\n{_escape(text) or _EMPTY}"


def _commands(command: click.Command, context: click.Context, name: str) -> str:
    if not isinstance(command, click.Group):
        return ""
    lines = [".SH COMMANDS"]
    for word in command.list_commands(context):
        child = command.get_command(context, word)
        if child and not child.hidden:
            lines.append(f".TP\n.BR {_escape(f'{name}-{word}')} (1)\n{_escape(child.get_short_help_str(200))}")
    return "\n".join(lines)


def _examples(epilog: str) -> str:
    """The epilog's examples as they are, without its title."""
    lines = [line for line in inspect.cleandoc(epilog.replace("\b", "")).splitlines() if line.strip() != "Examples:"]
    text = "\n".join(_escape(line[2:] if line.startswith("  ") else line) for line in lines).strip("\n")
    return f".SH EXAMPLES\n.nf\n{text}\n.fi" if text else ""


def _paragraphs(text: str) -> str:
    """Text in paragraphs; those after a \\b mark keep their lines."""
    made = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        kept = paragraph.lstrip().startswith("\b")
        lines = paragraph.replace("\b", "").strip("\n").splitlines()
        body = "\n".join(_escape(line.rstrip() if kept else line.strip()) for line in lines)
        made.append(f".nf\n{body}\n.fi" if kept else body)
    return "\n.PP\n".join(made)


def _escape(text: str) -> str:
    """Text that roff prints as it is: no line of it is a request, no hyphen becomes another character."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti").replace('"', "\\(dq")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.splitlines())
