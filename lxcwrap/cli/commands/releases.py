"""lxcwrap releases."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.application_options import application_options

COLUMNS = (
    ("RELEASE", "Release"), ("STATUS", "Status"), ("TIME", "Time"), ("WHO", "Who"), ("HOSTS", "Hosts"),
    ("IMAGES", "Images"),
)  # fmt: skip


@click.command(epilog="\b\nExamples:\n  lxcwrap releases\n  lxcwrap releases -p shop --format json")
@application_options
@click.option("--format", "template", default="", metavar="TEMPLATE", help="table, json or a Go template.")
@pass_app
def command(app: App, template: str, **options: Any) -> None:
    """List an application's releases, the newest first, as its hosts have recorded them."""
    from lxcwrap.cli import application_options as files
    from lxcwrap.cli.deploying import records
    from lxcwrap.cli.deployment import moment
    from lxcwrap.cli.output import show

    rows = [
        {
            "Release": one.release.number,
            "Status": one.release.status,
            "Time": moment(one.release.time),
            "Ended": moment(one.release.ended),
            "Who": one.release.who,
            "Why": one.release.why,
            "Hosts": ",".join(one.hosts),
            "Images": " ".join(
                f"{name}={identity.removeprefix('sha256:')[:12]}" for name, identity in one.release.images.items()
            ),
        }
        for one in reversed(records(app, files.name(options)))
    ]
    show(rows, COLUMNS, template=template)
