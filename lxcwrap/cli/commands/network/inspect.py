"""lxcwrap network inspect."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command(
    epilog="\b\nExamples:\n  lxcwrap network inspect bridge\n"
    "  lxcwrap network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' bridge"
)
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="json or a Go template.")
@click.argument("names", metavar="NETWORK…", nargs=-1, required=True)
@pass_app
def command(app: App, template: str, names: tuple[str, ...]) -> int:
    """Show all that is known of networks."""
    from lxcwrap.actions import networks
    from lxcwrap.cli.documents import show

    return show(names, lambda name: networks.inspect(app.store, name), template)
