"""Images to other hosts, without a registry."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lxcwrap.cli.app import App, pass_app

if TYPE_CHECKING:
    from lxcwrap.actions.image_copy import Copied

EXAMPLES = """\b
Examples:
  lxcwrap image copy app:1.2 web1
  lxcwrap image copy app:1.2 zone=a root@10.0.0.9
  lxcwrap image copy app:1.2,proxy:3 web
"""


@click.command(epilog=EXAMPLES)
@click.argument("texts", metavar="IMAGE[,IMAGE...]")
@click.argument("which", nargs=-1, required=True, metavar="HOST|GROUP|LABEL=VALUE...")
@click.option("-q", "--quiet", is_flag=True, help="Say only what failed.")
@pass_app
def command(app: App, texts: str, which: tuple[str, ...], quiet: bool) -> int:
    """Bring images to other hosts, all at once: each is sent the layers that it lacks, compressed, over SSH.

    A copy that was cut goes on where it stopped when it is called again.  The exit code is 1 when a host has not got
    all of it; the others have.
    """
    from lxcwrap.actions import image_copy
    from lxcwrap.cli.keyboard import Keyboard
    from lxcwrap.cli.progress import shown
    from lxcwrap.errors import UsageError
    from lxcwrap.model import hosts as model
    from lxcwrap.remote import hosts
    from lxcwrap.storage import driver as drivers

    names = [text for text in texts.split(",") if text]
    if not names:
        raise UsageError("name an image")
    chosen = model.select(hosts.read(), ",".join(which))
    driver = drivers.choose(app.store, app.storage_driver)
    with shown(quiet=quiet) as progress:
        results = image_copy.copy(app.store, driver, names, chosen, Keyboard(), progress=progress)
    for result in results:
        _tell(result, quiet)
    failed = sum(1 for result in results if result.failure)
    if failed:
        print(f"lxcwrap: {failed} of {len(results)} hosts failed", file=sys.stderr)
    return int(failed > 0)


def _tell(result: Copied, quiet: bool) -> None:
    from lxcwrap.cli.terminal import printable
    from lxcwrap.model.units import show_bytes

    error = result.failure
    if error:
        hint = f" ({printable(error.hint)})" if error.hint else ""
        print(f"lxcwrap: {printable(error.message)}{hint}", file=sys.stderr)
    elif not quiet:
        kept = f", {show_bytes(result.kept)} were there of a copy that was cut" if result.kept else ""
        count = "1 layer" if result.layers == 1 else f"{result.layers} layers"
        click.echo(
            f"{result.host.name}: {count} in {result.seconds:.1f} s:"
            f" {show_bytes(result.sent)} sent, {show_bytes(result.received)} received{kept}"
        )
