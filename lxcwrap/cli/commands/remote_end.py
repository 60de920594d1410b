"""The far side of -H: started over SSH, never by hand."""

from __future__ import annotations

import click


@click.command(hidden=True)
def command() -> int:
    """Run one command line that comes on standard input, for a client on another machine."""
    from lxcwrap.actions import remote_end
    from lxcwrap.cli import main

    return remote_end.serve(main.run)
