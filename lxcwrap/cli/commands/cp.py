"""Copy files between a container and the host."""

from __future__ import annotations

import sys

import click

from lxcwrap.cli.app import App, pass_app

group = "container"

EXAMPLES = """\b
Examples:
  lxcwrap cp web:/etc/nginx/nginx.conf .
  lxcwrap cp site/. web:/usr/share/nginx/html
  lxcwrap cp web:/var/log - | tar tf -
  tar cf - site | lxcwrap cp - web:/srv
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="DESTINATION")
@click.option("-a", "--archive", is_flag=True, help="Keep the owners' ids.")
@click.option("-L", "--follow-link", is_flag=True, help="Copy what a link in SOURCE leads to, not the link.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on success.")
@pass_app
def command(app: App, source: str, target: str, archive: bool, follow_link: bool, quiet: bool) -> None:
    """Copy files between a container, running or not, and the host.

    One of SOURCE and DESTINATION is CONTAINER:PATH, the other a local path, or - for a tar stream.  A directory
    is put into a directory that is there; SOURCE/. copies what is in it.  Write a local path with a colon as ./PATH.
    """
    from lxcwrap.actions import copy, copy_paths
    from lxcwrap.errors import UsageError
    from lxcwrap.model.units import show_bytes
    from lxcwrap.store import containers

    options = copy.Options(archive=archive, follow=follow_link)
    (from_name, from_path), (to_name, to_path) = copy_paths.split(source), copy_paths.split(target)
    if bool(from_name) == bool(to_name):
        many = "copying between containers is not supported" if from_name else "one path must be CONTAINER:PATH"
        raise UsageError(many, exit_code=1)
    container = containers.resolve(app.store, from_name or to_name)
    if not (from_path and to_path):
        raise UsageError("a path is empty", exit_code=1)
    if to_path == "-" and from_name:
        if sys.stdout.isatty():
            raise UsageError("a tar is not written to a terminal", hint="redirect the output", exit_code=1)
        copy.to_stream(app.store, container, from_path, sys.stdout.buffer, options)
        return
    if from_path == "-" and to_name:
        copy.from_stream(app.store, container, sys.stdin.buffer, to_path)
        return
    if from_name:
        size = copy.out_of(app.store, container, from_path, to_path, options)
    else:
        size = copy.into(app.store, container, from_path, to_path, options)
    if not quiet and sys.stdout.isatty():
        click.echo(f"Successfully copied {show_bytes(size)} to {target}", err=True)
