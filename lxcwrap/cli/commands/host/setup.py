"""lxcwrap host setup."""

from __future__ import annotations

import sys

import click

from lxcwrap.errors import LxcwrapError


@click.command(epilog="\b\nExamples:\n  lxcwrap host setup web1\n  lxcwrap host setup all")
@click.argument("which", metavar="HOST|GROUP|LABEL=VALUE")
def command(which: str) -> int:
    """Install this lxcwrap and the packages that it needs on hosts, side by side; over an older one, too."""
    from lxcwrap.actions import hosts as actions
    from lxcwrap.cli.keyboard import Keyboard
    from lxcwrap.cli.labelled import Labelled
    from lxcwrap.cli.terminal import printable
    from lxcwrap.model import hosts as model
    from lxcwrap.model.hosts import Host
    from lxcwrap.remote import hosts

    chosen = model.select(hosts.read(), which)
    archive, ask = actions.program(), Keyboard()
    width = max(len(host.name) for host in chosen)

    def one(host: Host) -> LxcwrapError | None:
        output = Labelled(f"{host.name:{width}}")
        try:
            actions.install(host, archive, output, ask)
        except LxcwrapError as error:
            return error
        finally:
            output.end()
        return None

    failures = [error for error in actions.side_by_side(chosen, one) if error]
    for error in failures:
        print(f"lxcwrap: {printable(error.message)}" + (f" ({error.hint})" if error.hint else ""), file=sys.stderr)
    return int(bool(failures))
