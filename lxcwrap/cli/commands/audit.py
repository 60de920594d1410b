"""lxcwrap audit."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options

COLUMNS = (
    ("TIME", "Time"), ("WHO", "Who"), ("WHAT", "What"), ("RELEASE", "Release"), ("STATUS", "Status"),
    ("TOOK", "Took"), ("HOSTS", "Hosts"),
)  # fmt: skip


@click.command(epilog="\b\nExamples:\n  lxcwrap audit\n  lxcwrap audit -p shop --format json")
@application_options
@click.option("--format", "template", default="", metavar="TEMPLATE", help="table, json or a Go template.")
@pass_app
def command(app: App, template: str, **options: Any) -> None:
    """Say who changed an application, when, and what they did: from the records on all its hosts, the oldest first."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.deploying import records
    from lxcwrap.cli.deployment import moment
    from lxcwrap.cli.output import show

    rows = [
        {
            "Time": moment(one.release.time),
            "Who": one.release.who,
            "What": one.release.why,
            "Release": one.release.number,
            "Status": one.release.status,
            "Took": f"{one.release.ended - one.release.time:.0f} s" if one.release.ended else "",
            "Hosts": ",".join(one.hosts),
        }
        for one in records(app, files.name(options))
    ]
    show(rows, COLUMNS, template=template)
