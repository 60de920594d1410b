"""lxcwrap app ps."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options

COLUMNS = (
    ("HOST", "Host"), ("NAME", "Name"), ("SERVICE", "Service"), ("STATE", "State"), ("HEALTH", "Health"),
    ("SINCE", "Since"), ("RELEASE", "Release"), ("IMAGE", "Image"), ("ID", "ID"),
)  # fmt: skip


@click.command(epilog="\b\nExamples:\n  lxcwrap app ps\n  lxcwrap app ps web --format '{{.Host}} {{.Name}}'")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@application_options
@click.option("--format", "template", default="", metavar="TEMPLATE", help="table, json or a Go template.")
@click.option("-q", "--quiet", is_flag=True, help="Only container IDs.")
@pass_app
def command(app: App, services: tuple[str, ...], template: str, quiet: bool, **options: Any) -> int:
    """List an application's containers on all hosts, those that are kept of failed updates too."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.deployment import moment
    from lxcwrap.cli.output import show
    from lxcwrap.cli.replicas import found

    replicas, problems = found(app, files.name(options), services)
    rows = [
        {
            "Host": host,
            "Name": one.name,
            "Service": one.service,
            "Slot": one.slot,
            "State": one.state if one.state != "exited" else f"exited ({one.exit_code})",
            "Health": one.health,
            "Since": moment(one.started),
            "Release": one.release,
            "Image": one.image.removeprefix("sha256:")[:12],
            "ID": one.id[:12],
            "Serves": one.serves,
        }
        for host, one in replicas
    ]
    show(rows, COLUMNS, template=template, quiet="ID" if quiet else "")
    return problems
