"""What ``cp`` and ``volume cp`` make of their two paths."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from lxcwrap.actions import copy, copy_paths
from lxcwrap.actions.copy import Place
from lxcwrap.errors import UsageError
from lxcwrap.model.units import show_bytes


def run(
    side: Callable[[str], Place], what: str, source: str, target: str, *, archive: bool, follow: bool, quiet: bool
) -> None:
    """Copy from ``NAME:PATH`` to a local path or ``-``, or the other way; ``side`` opens what has the name.

    ``what`` has names: container or volume.
    """
    options = copy.Options(archive=archive, follow=follow)
    (from_name, from_path), (to_name, to_path) = copy_paths.split(source), copy_paths.split(target)
    if bool(from_name) == bool(to_name):
        many = f"copying between {what}s is not supported" if from_name else f"one path must be {what.upper()}:PATH"
        raise UsageError(many, exit_code=1)
    place = side(from_name or to_name)
    if not (from_path and to_path):
        raise UsageError("a path is empty", exit_code=1)
    if to_path == "-" and from_name:
        if sys.stdout.isatty():
            raise UsageError("a tar is not written to a terminal", hint="redirect the output", exit_code=1)
        copy.to_stream(place, from_path, sys.stdout.buffer, options)
        return
    if from_path == "-" and to_name:
        copy.from_stream(place, sys.stdin.buffer, to_path)
        return
    size = (copy.out_of if from_name else copy.into)(place, from_path, to_path, options)
    if not quiet and sys.stdout.isatty():
        click.echo(f"Successfully copied {show_bytes(size)} to {target}", err=True)
