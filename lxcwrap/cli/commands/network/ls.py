"""lxcwrap network ls."""

from __future__ import annotations

import click

from lxcwrap.cli import filters, output
from lxcwrap.cli.app import App, pass_app

COLUMNS = (("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope"))


@click.command(epilog="\b\nExample:\n  lxcwrap network ls")
@click.option("-f", "--filter", "items", multiple=True, metavar="FILTER", help="driver, id, label, name, type.")
@click.option("--format", "template", default="", metavar="TEMPLATE", help="table, json or a Go template.")
@click.option("--no-trunc", is_flag=True, help="Whole IDs.")
@click.option("-q", "--quiet", is_flag=True, help="Only IDs.")
@pass_app
def command(app: App, items: tuple[str, ...], template: str, no_trunc: bool, quiet: bool) -> None:
    """List the networks that containers can be on."""
    from lxcwrap.actions import networks, remains

    remains.settle(app.store)
    rows = []
    for row in networks.select(app.store, filters.parse(items, networks.FILTERS)):
        whole = row.pop("FullID")
        rows.append({**row, "ID": whole} if no_trunc else row)
    output.show(rows, COLUMNS, template=template, quiet="ID" if quiet else "")
