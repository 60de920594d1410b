"""lxcwrap host check."""

from __future__ import annotations

import click


@click.command(epilog="\b\nExamples:\n  lxcwrap host check\n  lxcwrap host check web1")
@click.argument("which", default="all", metavar="[HOST|GROUP|LABEL=VALUE]")
def command(which: str) -> int:
    """Say in words what hosts lack.  The exit code is 1 when one lacks something."""
    from lxcwrap import __version__
    from lxcwrap.actions import hosts as actions
    from lxcwrap.cli.keyboard import Keyboard
    from lxcwrap.cli.terminal import printable
    from lxcwrap.model import hosts as model
    from lxcwrap.remote import hosts

    lacking = 0
    for seen in actions.look(model.select(hosts.read(), which), Keyboard()):
        found = list(seen.facts.problems) if seen.facts else [seen.failure + (f" ({seen.hint})" if seen.hint else "")]
        if seen.facts and seen.facts.version != __version__:
            found.append(f"its lxcwrap is {seen.facts.version}, this one {__version__} (lxcwrap host setup)")
        lacking += bool(found)
        click.echo(f"{seen.host.name}: {'ready' if not found else ''}".rstrip())
        for line in found:
            click.echo(printable(f"  {line}"))
    return int(lacking > 0)
