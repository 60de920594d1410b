"""Fetch an image from a registry."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.platforms import parse_platform
from lxcwrap.cli.refused import refused

group = "image"

EXAMPLES = """\b
Examples:
  lxcwrap pull ubuntu
  lxcwrap pull registry.example.com:5000/team/app:1.2
  lxcwrap pull --platform linux/arm64 alpine
  lxcwrap pull -a localhost:5000/app
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="NAME[:TAG|@DIGEST]")
@click.option("-a", "--all-tags", is_flag=True, help="All tags of the repository.")
@click.option("--platform", default="", metavar="OS/ARCH", help="Another platform's image than this host's.")
@click.option("-q", "--quiet", is_flag=True, help="Only the image's full name at the end.")
@refused("--disable-content-trust", reason="images are checked by digest, not by signature", value=False)
@pass_app
def command(app: App, name: str, all_tags: bool, platform: str, quiet: bool) -> None:
    """Fetch an image from its registry.

    Without a registry's name the image comes from Docker Hub, without a tag it is the one tagged latest.  A pull
    that was cut goes on where it stopped.
    """
    from dataclasses import replace

    from lxcwrap.actions import pull
    from lxcwrap.cli.progress import shown
    from lxcwrap.errors import UsageError
    from lxcwrap.model import reference as references
    from lxcwrap.storage import driver as drivers

    reference = references.parse(name)
    if all_tags and (reference.tag or reference.digest):
        raise UsageError("a tag cannot be given together with --all-tags", exit_code=1)
    if not (reference.tag or reference.digest or all_tags or quiet):
        click.echo("Using default tag: latest")
    wanted = parse_platform(platform)
    driver = drivers.choose(app.store, app.storage_driver)
    tags = pull.all_tags(reference) if all_tags else ("",)
    for tag in tags:
        one = replace(reference, tag=tag) if tag else reference.with_default_tag()
        with shown(quiet=quiet) as progress:
            pull.pull(app.store, driver, one, platform=wanted, progress=progress)
        click.echo(one.canonical)
