"""Make an image from a container."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

group = "container"

EXAMPLES = """\b
Examples:
  lxcwrap commit web me/web:patched
  lxcwrap commit -m "certificates renewed" -a "Ann <ann@example.com>" web
  lxcwrap commit -c 'CMD ["nginx", "-g", "daemon off;"]' -c 'EXPOSE 80' web me/web
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="CONTAINER")
@click.argument("reference", metavar="[REPOSITORY[:TAG]]", default="")
@click.option("-a", "--author", default="", metavar="TEXT", help="Who made it.")
@click.option("-c", "--change", "changes", multiple=True, metavar="LINE", help="A Dockerfile instruction to apply.")
@click.option("-m", "--message", default="", metavar="TEXT", help="What was changed.")
@click.option("-p", "--pause/--no-pause", default=True, help="Freeze the container meanwhile [default: pause].")
@pass_app
def command(
    app: App, name: str, reference: str, author: str, changes: tuple[str, ...], message: str, pause: bool
) -> None:
    """Make an image from what a container has become, and print its ID.

    Content of volumes is not part of it.
    """
    from lxcwrap.actions.commit import commit
    from lxcwrap.store import containers

    container = containers.resolve(app.store, name)
    image_id = commit(app.store, container, reference, author=author, message=message, changes=changes, pause=pause)
    click.echo(image_id)
