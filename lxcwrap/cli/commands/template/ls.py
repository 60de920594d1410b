"""lxcwrap template ls."""

from __future__ import annotations

import click

from lxcwrap.cli import output

COLUMNS = (
    ("NAME", "Name"),
    ("RELEASE", "Release"),
    ("METHOD", "Method"),
    ("SOURCE", "Source"),
    ("DESCRIPTION", "Description"),
)


@click.command(epilog="\b\nExample:\n  lxcwrap template ls")
@click.option("--format", "template", default="", metavar="TEMPLATE", help="table, json or a Go template.")
@click.option("-q", "--quiet", is_flag=True, help="Only names.")
def command(template: str, quiet: bool) -> None:
    """List the definitions of base images.

    Those in /etc/lxcwrap/templates (SOURCE: own) win over the installed ones of the same name.
    """
    from lxcwrap.actions import template as templates

    rows = []
    for found in templates.listing():
        described = templates.described(found)
        rows.append(
            {
                "Name": found.name,
                "Release": described.release or "-",
                "Method": described.method,
                "Source": "own" if found.own else "installed",
                "Description": described.description,
                "Mirror": described.mirror,
                "Path": found.path,
            }
        )
    output.show(rows, COLUMNS, template=template, quiet="Name" if quiet else "")
