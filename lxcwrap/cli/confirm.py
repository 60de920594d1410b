"""The question before something is removed for good."""

from __future__ import annotations

import click


def confirmed(warning: str, force: bool) -> bool:
    """Ask on the terminal, unless ``force``; only y or yes is a yes, as with Docker."""
    if force:
        return True
    click.echo(f"WARNING! {warning}")
    try:
        answer = input("Are you sure you want to continue? [y/N] ")
    except EOFError:
        click.echo()
        return False
    return answer.strip().lower() in ("y", "yes")
