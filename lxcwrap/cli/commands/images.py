"""List images."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import show

COLUMNS = (
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
)
HEADERS = (
    *COLUMNS,
    ("DIGEST", "Digest"),
    ("CREATED AT", "CreatedAt"),
    ("VIRTUAL SIZE", "VirtualSize"),
    ("CONTAINERS", "Containers"),
    ("SHARED SIZE", "SharedSize"),
    ("UNIQUE SIZE", "UniqueSize"),
)

EXAMPLES = """\b
Examples:
  lxcwrap images
  lxcwrap images --digests debian
  lxcwrap images -q --filter dangling=true
  lxcwrap images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
"""


@click.command(epilog=EXAMPLES)
@click.argument("repository", metavar="[REPOSITORY[:TAG]]", default="")
@click.option("-a", "--all", is_flag=True, expose_value=False, help="All images (which is what is listed anyway).")
@click.option("--digests", is_flag=True, help="Also the digests by which registries know them.")
@click.option("-f", "--filter", "items", multiple=True, metavar="FILTER", help="Only those that fit (name=value).")
@click.option("--format", "template", default="", metavar="FORM", help="'table TEMPLATE', 'json' or a template.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten IDs.")
@click.option("-q", "--quiet", is_flag=True, help="Only image IDs.")
@pass_app
def command(
    app: App, repository: str, digests: bool, items: tuple[str, ...], template: str, no_trunc: bool, quiet: bool
) -> None:
    """List images: all, or those of a repository.

    Filters: before, dangling, label, reference, since, until.
    """
    from lxcwrap.actions import image_listing

    wanted = filters.parse(items, image_listing.FILTERS)
    patterns = wanted.get("reference", ()) + ((repository,) if repository else ())
    found = image_listing.select(app.store, wanted)
    by_digest = digests or ".Digest" in template
    rows = image_listing.rows(app.store, found, patterns, by_digest=by_digest, truncate=not no_trunc)
    plain = (*COLUMNS[:2], ("DIGEST", "Digest"), *COLUMNS[2:]) if digests else COLUMNS
    show(rows, plain if template in ("", "table") else HEADERS, template=template, quiet="ID" if quiet else "")
