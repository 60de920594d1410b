"""List volumes."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import show
from lxcwrap.cli.refused import refused

COLUMNS = (("DRIVER", "Driver"), ("VOLUME NAME", "Name"))
HEADERS = (*COLUMNS, ("MOUNTPOINT", "Mountpoint"), ("LABELS", "Labels"), ("SCOPE", "Scope"), ("SIZE", "Size"))

EXAMPLES = """\b
Examples:
  lxcwrap volume ls
  lxcwrap volume ls --filter dangling=true -q
  lxcwrap volume ls --format '{{.Name}}: {{.Mountpoint}}'
"""


@click.command(epilog=EXAMPLES)
@click.option("-f", "--filter", "items", multiple=True, metavar="FILTER", help="dangling, driver, label, name.")
@click.option("--format", "template", default="", metavar="FORM", help="'table', 'json' or a Go template.")
@click.option("-q", "--quiet", is_flag=True, help="Only names.")
@refused("--cluster", reason="cluster volumes need a Swarm", value=False)
@pass_app
def command(app: App, items: tuple[str, ...], template: str, quiet: bool) -> None:
    """List volumes by name."""
    from lxcwrap.actions import volumes

    chosen = volumes.select(app.store, filters.parse(items, volumes.FILTERS))
    rows = [volumes.row(app.store, volume) for volume in chosen]
    show(rows, COLUMNS if template in ("", "table") else HEADERS, template=template, quiet="Name" if quiet else "")
