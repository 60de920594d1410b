"""Stop all containers before the host goes down; system start brings them back."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(epilog="\b\nExamples:\n  lxcwrap system stop\n")
@pass_app
def command(app: App) -> int:
    """Stop all containers before the host goes down; system start brings them back."""
    from lxcwrap.actions import boot
    from lxcwrap.cli.several import report

    wrong = boot.end(app.store)
    for error in wrong:
        report(error)
    return int(bool(wrong))
