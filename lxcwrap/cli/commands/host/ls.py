"""lxcwrap host ls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lxcwrap.cli import output

if TYPE_CHECKING:
    from lxcwrap.actions.hosts import Seen

COLUMNS = (
    ("NAME", "Name"), ("ADDRESS", "Address"), ("STATE", "State"), ("VERSION", "Version"), ("CONTAINERS", "Containers"),
    ("LOAD", "Load"), ("MEMORY FREE", "MemoryFree"), ("DISK FREE", "DiskFree"), ("LABELS", "Labels"),
)  # fmt: skip

EXAMPLES = """\b
Examples:
  lxcwrap host ls
  lxcwrap host ls zone=a
  lxcwrap host ls --format '{{.Name}} {{.State}}'
"""


@click.command(epilog=EXAMPLES)
@click.argument("which", default="all", metavar="[HOST|GROUP|LABEL=VALUE]")
@click.option("--format", "template", default="", metavar="TEMPLATE", help="table, json or a Go template.")
@click.option("-q", "--quiet", is_flag=True, help="Only names; asks no host.")
def command(which: str, template: str, quiet: bool) -> None:
    """List hosts and how they are: all are asked at once, and one that does not answer delays none."""
    from lxcwrap.model import hosts as model
    from lxcwrap.remote import hosts

    inventory = hosts.read()
    chosen = model.select(inventory, which) if inventory.hosts or which != model.ALL else ()
    if quiet and not template:
        output.write_lines(host.name for host in chosen)
        return
    rows = []
    if chosen:
        from lxcwrap.actions import hosts as actions
        from lxcwrap.cli.keyboard import Keyboard

        rows = [_row(seen) for seen in actions.look(chosen, Keyboard())]
    output.show(rows, COLUMNS, template=template)


def _row(seen: Seen) -> dict[str, Any]:
    from lxcwrap.model.units import show_bytes

    host, facts = seen.host, seen.facts
    state = "ready" if facts and not facts.problems else "lacking" if facts else "unreachable"
    return {
        "Name": host.name,
        "Address": (f"{host.user}@" if host.user else "") + host.address + (f":{host.port}" if host.port else ""),
        "State": state,
        "Version": facts.version if facts else "",
        "Containers": f"{facts.running}/{facts.containers}" if facts else "",
        "Load": f"{facts.load:.2f}" if facts else "",
        "MemoryFree": show_bytes(facts.memory_free) if facts else "",
        "DiskFree": show_bytes(facts.disk_free) if facts else "",
        "Labels": ",".join(f"{key}={value}" for key, value in host.labels),
        "Error": seen.failure,
        "System": facts.system if facts else "",
        "Kernel": facts.kernel if facts else "",
        "Processors": facts.processors if facts else 0,
    }
