"""Show how an image was made."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import show

group = "image"

COLUMNS = (
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
)
HEADERS = (*COLUMNS, ("CREATED AT", "CreatedAt"))


@click.command(epilog="\b\nExamples:\n  lxcwrap history --no-trunc --format '{{.CreatedBy}}' app\n")
@click.argument("image")
@click.option("--format", "template", default="", metavar="FORM", help="'table TEMPLATE', 'json' or a template.")
@click.option("-H", "--human/--no-human", default=True, help="Sizes and times for people (the default), or exact.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("-q", "--quiet", is_flag=True, help="Only image IDs.")
@pass_app
def command(app: App, image: str, template: str, human: bool, no_trunc: bool, quiet: bool) -> None:
    """Show the steps that made an image, the last one first."""
    from lxcwrap.actions import image_listing

    rows = image_listing.history(app.store, image, truncate=not no_trunc, human=human)
    columns = COLUMNS if template in ("", "table") else HEADERS
    show(rows, columns, template=template, quiet="ID" if quiet else "")
