"""Show what containers use."""

from __future__ import annotations

import sys
import time

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import show

group = "container"

COLUMNS = (
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
)
HEADERS = (*COLUMNS, ("CONTAINER", "Container"))
PERIOD = 1.0  # seconds between two looks

EXAMPLES = """\b
Examples:
  lxcwrap stats
  lxcwrap stats --no-stream web db
  lxcwrap stats --no-stream --format '{{.Name}} {{.MemPerc}}'
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[CONTAINER]...")
@click.option("-a", "--all", "everything", is_flag=True, help="Also containers that do not run.")
@click.option("--format", "template", default="", metavar="FORM", help="'table', 'json' or a Go template.")
@click.option("--no-stream", is_flag=True, help="Once, after a second of measuring.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten IDs.")
@pass_app
def command(app: App, names: tuple[str, ...], everything: bool, template: str, no_stream: bool, no_trunc: bool) -> None:
    """Show, live or once, what containers use of processor, memory, network and disk.

    CPU % is of one processor.  Memory leaves out page cache that can be dropped at once.
    """
    from lxcwrap.actions import stats

    wanted = stats.chosen(app.store, names, everything=everything)
    typed = dict(zip(wanted, names, strict=False))  # {{.Container}} is what the user wrote
    columns = COLUMNS if template in ("", "table") else HEADERS
    before = {one.id: one for one in stats.sample(app.store, wanted)}
    while True:
        if before or not no_stream:
            time.sleep(PERIOD)
        ids = list(before) if names else stats.chosen(app.store, (), everything=everything)
        now = stats.sample(app.store, ids)
        rows = [stats.row(before.get(one.id), one, typed.get(one.id, ""), truncate=not no_trunc) for one in now]
        if not no_stream and sys.stdout.isatty():
            sys.stdout.write("\x1b[2J\x1b[H")  # clear, as docker stats does
        show(rows, columns, template=template)
        sys.stdout.flush()
        if no_stream:
            return
        before = {one.id: one for one in now}
