"""Start, after a boot, what ran before it or is to run always."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(epilog="\b\nExamples:\n  lxcwrap system start\n")
@pass_app
def command(app: App) -> int:
    """Start, after a boot, what ran before it or is to run always.

    The unit that lxcwrap system enable writes calls it.  A second call in the same boot does nothing.
    """
    from lxcwrap.actions import boot
    from lxcwrap.cli.several import report

    started, wrong = boot.begin(app.store)
    for name in started:
        click.echo(name)
    for error in wrong:
        report(error)
    return int(bool(wrong))
