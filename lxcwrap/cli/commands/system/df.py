"""Show what is used on disk."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import show

COLUMNS = (
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
)
IMAGES = (
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
)
CONTAINERS = (
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("LOCAL VOLUMES", "LocalVolumes"),
    ("SIZE", "Size"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("NAMES", "Names"),
)
VOLUMES = (("VOLUME NAME", "Name"), ("LINKS", "Links"), ("SIZE", "Size"))

EXAMPLES = """\b
Examples:
  lxcwrap system df
  lxcwrap system df -v
  lxcwrap system df --format '{{.Type}}: {{.Reclaimable}}'
"""


@click.command(epilog=EXAMPLES)
@click.option("--format", "template", default="", metavar="FORM", help="'table', 'json' or a Go template.")
@click.option("-v", "--verbose", is_flag=True, help="Each image, container and volume.")
@pass_app
def command(app: App, template: str, verbose: bool) -> None:
    """Show what images, containers, volumes and the build cache take on disk.

    Layers count once, however many images share them.  Reclaimable is what no container uses.
    """
    from lxcwrap.actions import disk_usage

    rows = [disk_usage.row(share) for share in disk_usage.summary(app.store)]
    if not verbose:
        show(rows, COLUMNS, template=template)
        return
    if template:
        from lxcwrap.errors import UsageError

        raise UsageError("--verbose and --format exclude each other", exit_code=1)
    _details(app)
    click.echo(f"\nBuild cache usage: {rows[-1]['Size']}")


def _details(app: App) -> None:
    from lxcwrap.actions import disk_usage, image_listing

    click.echo("Images space usage:\n")
    found = image_listing.select(app.store, {})
    show(image_listing.rows(app.store, found, (), by_digest=False), IMAGES)
    click.echo("\nContainers space usage:\n")
    show(disk_usage.container_rows(app.store), CONTAINERS)
    click.echo("\nLocal Volumes space usage:\n")
    show(disk_usage.volume_rows(app.store), VOLUMES)
