"""Find images in a registry."""

from __future__ import annotations

import click

from lxcwrap.cli import filters
from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.output import shortened, show

COLUMNS = (("NAME", "Name"), ("DESCRIPTION", "Description"), ("STARS", "StarCount"), ("OFFICIAL", "IsOfficial"))
HEADERS = (*COLUMNS, ("AUTOMATED", "IsAutomated"))
FILTERS = ("is-automated", "is-official", "stars")
DESCRIPTION = 45  # columns of it unless --no-trunc

EXAMPLES = """\b
Examples:
  lxcwrap search memcached
  lxcwrap search --filter is-official=true --limit 5 postgres
  lxcwrap search localhost:5000/app
"""


@click.command(epilog=EXAMPLES)
@click.argument("term")
@click.option("-f", "--filter", "items", multiple=True, metavar="FILTER", help="stars=N, is-official=, is-automated=.")
@click.option("--format", "template", default="", metavar="FORM", help="'table TEMPLATE', 'json' or a template.")
@click.option("--limit", type=click.IntRange(1, 100), default=25, show_default=True, help="How many at most.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten descriptions.")
@pass_app
def command(app: App, items: tuple[str, ...], template: str, limit: int, no_trunc: bool, term: str) -> None:
    """Search Docker Hub, or the repositories of REGISTRY/TERM.

    Docker Hub has a search; of another registry the names of its repositories are looked through, where it tells
    them.
    """
    from lxcwrap.errors import UsageError
    from lxcwrap.model.selection import truth
    from lxcwrap.registry.search import search

    wanted = filters.parse(items, FILTERS)
    stars = wanted.get("stars", ("0",))[-1]
    if not stars.isdigit():
        raise UsageError(f"filter stars={stars} is not a number")
    official = truth(wanted["is-official"], "is-official") if "is-official" in wanted else None
    automated = truth(wanted["is-automated"], "is-automated") if "is-automated" in wanted else None
    rows = [
        {
            "Name": hit.name,
            "Description": hit.description if no_trunc else shortened(" ".join(hit.description.split()), DESCRIPTION),
            "StarCount": str(hit.stars),
            "IsOfficial": "[OK]" if hit.official else "",
            "IsAutomated": "[OK]" if hit.automated else "",
        }
        for hit in search(term, limit)
        if hit.stars >= int(stars) and official in (None, hit.official) and automated in (None, hit.automated)
    ]
    show(rows, COLUMNS if template in ("", "table") else HEADERS, template=template)
