"""List containers."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import show

group = "container"

COLUMNS = (
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
)
# what a table template may name besides
HEADERS = (
    *COLUMNS,
    ("SIZE", "Size"),
    ("CREATED AT", "CreatedAt"),
    ("STATE", "State"),
    ("LABELS", "Labels"),
    ("MOUNTS", "Mounts"),
    ("LOCAL VOLUMES", "LocalVolumes"),
    ("NETWORKS", "Networks"),
)

EXAMPLES = """\b
Examples:
  lxcwrap ps -a
  lxcwrap ps --filter status=exited --filter label=stage=test
  lxcwrap ps -q --filter name=web
  lxcwrap ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'
"""


@click.command(epilog=EXAMPLES)
@click.option("-a", "--all", "everything", is_flag=True, help="Also containers that do not run.")
@click.option("-f", "--filter", "items", multiple=True, metavar="FILTER", help="Only those that fit (name=value).")
@click.option(
    "--format", "template", default="", metavar="FORM", help="'table', 'table TEMPLATE', 'json' or a template."
)
@click.option("-n", "--last", type=int, default=-1, metavar="N", help="The last N that were created, in any state.")
@click.option("-l", "--latest", is_flag=True, help="The one that was created last, in any state.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("-q", "--quiet", is_flag=True, help="Only container IDs.")
@click.option("-s", "--size", is_flag=True, help="Also the bytes written (and with the image's).")
@pass_app
def command(
    app: App,
    everything: bool,
    items: tuple[str, ...],
    template: str,
    last: int,
    latest: bool,
    no_trunc: bool,
    quiet: bool,
    size: bool,
) -> None:
    """List containers: those that run, or with -a all.

    Filters: ancestor, before, exited, expose, health, id, is-task, label, name, network, publish, since, status,
    volume.  Values of one filter are alternatives (labels must all fit); different filters must all fit.
    """
    from lxcwrap.actions import listing

    wanted = filters.parse(items, listing.FILTERS)
    size = size or ".Size" in template
    entries = listing.select(app.store, everything=everything, last=1 if latest else last, filters=wanted)
    rows = listing.rows(app.store, entries, truncate=not no_trunc, size=size)
    columns = (*COLUMNS, ("SIZE", "Size")) if size else COLUMNS
    show(rows, HEADERS if template not in ("", "table") else columns, template=template, quiet="ID" if quiet else "")
