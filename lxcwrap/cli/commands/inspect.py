"""Show objects in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.documents import show

EXAMPLES = """\b
Examples:
  lxcwrap inspect web
  lxcwrap inspect --type image busybox
  lxcwrap inspect -f '{{.State.ExitCode}}' web db
  lxcwrap inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web
"""

TYPES = ("container", "image", "network", "volume")


@click.command(epilog=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="NAME|ID...")
@click.option("-f", "--format", "template", default="", metavar="FORM", help="'json' or a Go template.")
@click.option("-s", "--size", is_flag=True, help="Also the bytes that containers use.")
@click.option("--type", "kind", metavar="TYPE", help="Only this type: container, image, network, volume.")
@pass_app
def command(app: App, names: tuple[str, ...], template: str, size: bool, kind: str | None) -> int:
    """Show containers, images, networks or volumes as JSON; of a name that several have, the first in that order."""
    from lxcwrap.errors import UsageError

    if kind is not None and kind not in TYPES:
        raise UsageError(f"{kind!r} is not a valid value for --type", hint=", ".join(TYPES), exit_code=1)
    return show(names, finder(app, kind, size), template)


def finder(app: App, kind: str | None, size: bool) -> Callable[[str], dict[str, Any]]:
    """From a name to its document."""
    from lxcwrap.errors import NotFound

    def container(name: str) -> dict[str, Any]:
        from lxcwrap.actions import inspect_container

        return inspect_container.document(app.store, name, size=size)

    def image(name: str) -> dict[str, Any]:
        from lxcwrap.actions import inspect_image

        return inspect_image.document(app.store, name)

    def network(name: str) -> dict[str, Any]:
        from lxcwrap.actions import networks

        return networks.inspect(app.store, name)

    def volume(name: str) -> dict[str, Any]:
        from lxcwrap.actions import volumes

        return volumes.document(app.store, name)

    known = {"container": container, "image": image, "network": network, "volume": volume}
    if kind:
        return known[kind]

    def any_of_them(name: str) -> dict[str, Any]:
        for find in known.values():
            try:
                return find(name)
            except NotFound:
                continue
        raise NotFound(f"no such object: {name}")

    return any_of_them
