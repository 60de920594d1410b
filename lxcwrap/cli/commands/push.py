"""Send an image to a registry."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused

group = "image"

EXAMPLES = """\b
Examples:
  lxcwrap tag app localhost:5000/app:1.2 && lxcwrap push localhost:5000/app:1.2
  lxcwrap push -a registry.example.com/team/app
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="NAME[:TAG]")
@click.option("-a", "--all-tags", is_flag=True, help="All tags of the repository that are here.")
@click.option("-q", "--quiet", is_flag=True, help="Only the image's full name at the end.")
@refused("--disable-content-trust", reason="images are checked by digest, not by signature", value=False)
@pass_app
def command(app: App, name: str, all_tags: bool, quiet: bool) -> None:
    """Send an image to its registry: only the layers that it has not got.

    The image's name says which registry that is; give it one with lxcwrap tag.
    """
    from dataclasses import replace

    from lxcwrap.actions import push
    from lxcwrap.cli.progress import shown
    from lxcwrap.errors import NotFound, UsageError
    from lxcwrap.model import reference as references
    from lxcwrap.storage import driver as drivers

    reference = references.parse(name)
    if all_tags and (reference.tag or reference.digest):
        raise UsageError("a tag cannot be given together with --all-tags", exit_code=1)
    tags = push.tags_here(app.store, reference) if all_tags else ("",)
    if not tags:
        raise NotFound(f"no image here is named {reference.familiar_repository}")
    driver = drivers.choose(app.store, app.storage_driver)
    if not quiet:
        click.echo(f"The push refers to repository [{reference.repository}]")
    for tag in tags:
        one = replace(reference, tag=tag) if tag else reference.with_default_tag()
        with shown(quiet=quiet) as progress:
            push.push(app.store, driver, one, progress=progress)
        if quiet:
            click.echo(one.canonical)
