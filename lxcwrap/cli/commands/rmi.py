"""Remove images."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

EXAMPLES = """\b
Examples:
  lxcwrap rmi app:1.1
  lxcwrap rmi $(lxcwrap images -q --filter dangling=true)
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Although it has several names, or a stopped container uses it.")
@click.option("--no-prune", is_flag=True, help="Keep layers that nothing needs any more until the next prune.")
@pass_app
def command(app: App, names: tuple[str, ...], force: bool, no_prune: bool) -> int:
    """Remove images by name or ID.

    A name is taken away; the image itself goes with its last name.
    """
    from lxcwrap.actions import remove_image
    from lxcwrap.cli.several import report
    from lxcwrap.errors import LxcwrapError, NotFound

    failed = 0
    for name in names:
        try:
            for line in remove_image.remove(app.store, name, force=force, prune=not no_prune):
                click.echo(line)
        except LxcwrapError as error:
            report(error)
            failed = failed if force and isinstance(error, NotFound) else 1
    return failed
