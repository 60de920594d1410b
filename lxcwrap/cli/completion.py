"""Completion in shells: click's machinery, with the names of what is on this host.

What a word stands for is told by its metavar (CONTAINER, IMAGE, VOLUME, FILE, …): commands declare nothing more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from lxcwrap.errors import LxcwrapError
from lxcwrap.model.paths import DEFAULT_ROOT, Paths
from lxcwrap.store.database import Store

VARIABLE = "_LXCWRAP_COMPLETE"

# the last word is taken from the line itself: bash splits words at colons, which image names have
_BASH = """\
%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" kind value prefix=
    local word="${line##*[[:space:]]}"
    [[ $word == *:* && $COMP_WORDBREAKS == *:* ]] && prefix="${word%%"${word##*:}"}"
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$prefix"}") ;;
        esac
    done < <(COMP_WORDS="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Bash 4.4 or later."""

    source_template = _BASH

    def source(self) -> str:
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        from click.parser import split_arg_string

        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)[1:]
        incomplete = "" if not words or line[-1:].isspace() else words.pop()
        return words, incomplete


add_completion_class(Bash)


def source(group: click.Group, shell: str) -> str:
    """The script that a shell sources.  ``shell``: bash, zsh or fish."""
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(group, {}, "lxcwrap", VARIABLE).source()


def prepare(command: click.Command) -> click.Command:
    """Let the command's words be completed; called only while completing."""
    for param in command.params:
        words = _suggestion(param)
        if words and isinstance(param.type, (click.types.StringParamType, click.types.UnprocessedParamType)):
            param.type = Suggested(words)
    return command


Words = Callable[[click.Context, str], Iterable["CompletionItem | str"]]


class Suggested(click.ParamType):
    """Text with suggestions."""

    name = "text"

    def __init__(self, words: Words) -> None:
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            found = list(self.words(ctx, incomplete))
        except (LxcwrapError, OSError):
            return []  # the state cannot be read: nothing to suggest
        items = [word if isinstance(word, CompletionItem) else CompletionItem(word) for word in found]
        return [item for item in items if item.type != "plain" or str(item.value).startswith(incomplete)]


def _suggestion(param: click.Parameter) -> Words | None:
    if isinstance(param, click.Option):
        for name in param.opts:
            if name in _CHOICES:
                choices = _CHOICES[name]
                return lambda ctx, incomplete: choices
    shown = f"{param.metavar or param.name or ''}".upper()
    for pattern, words in _METAVARS:
        if re.search(pattern, shown):
            return words
    return None


def _store(ctx: click.Context) -> Store:
    """The state of the root that the line names; nothing is made.  Raises FileNotFoundError."""
    paths = Paths(ctx.find_root().params.get("root") or DEFAULT_ROOT)
    os.stat(paths.database)
    return Store(paths)


def _containers(ctx: click.Context, incomplete: str) -> Iterable[str]:
    rows = _store(ctx).db.execute("SELECT id, name FROM containers ORDER BY name").fetchall()
    names = [row["name"] for row in rows]
    by_id = [row["id"][:12] for row in rows] if incomplete else []
    return names if any(name.startswith(incomplete) for name in names) else by_id


def _images(ctx: click.Context, incomplete: str) -> Iterable[str]:
    from lxcwrap.model import reference as references

    rows = _store(ctx).db.execute("SELECT reference FROM image_references ORDER BY reference")
    for row in rows:
        yield references.parse(row["reference"]).familiar


def _volumes(ctx: click.Context, incomplete: str) -> Iterable[str]:
    return [row["name"] for row in _store(ctx).db.execute("SELECT name FROM volumes ORDER BY name")]


def _objects(ctx: click.Context, incomplete: str) -> Iterable[str]:
    for words in (_containers, _images, _volumes):
        yield from words(ctx, incomplete)


def _files(ctx: click.Context, incomplete: str) -> Iterable[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


def _directories(ctx: click.Context, incomplete: str) -> Iterable[CompletionItem]:
    return [CompletionItem(incomplete, type="dir")]


_METAVARS: tuple[tuple[str, Words], ...] = (
    (r"NAME\|ID", _objects),
    (r"CONTAINER", _containers),
    (r"IMAGE|NAME\[:TAG|REPOSITORY", _images),
    (r"VOLUME", _volumes),
    (r"\b(DIR|DIRECTORY)\b", _directories),
    (r"\b(FILE|PATH)\b", _files),
)
_SIGNALS = ("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP")
_CHOICES: dict[str, tuple[str, ...]] = {
    "--network": ("bridge", "host", "none"),
    "--pull": ("always", "missing", "never"),
    "--restart": ("no", "always", "on-failure", "unless-stopped"),
    "--signal": _SIGNALS,
    "--stop-signal": _SIGNALS,
    "--storage-driver": ("overlay", "aufs", "vfs"),
    "--type": ("container", "image", "network", "volume"),
    "--userns": ("host", "private"),
}
