"""Show the version."""

from __future__ import annotations

import click

EXAMPLES = """\b
Examples:
  lxcwrap version
  lxcwrap version -f '{{.Server.Version}}'
  lxcwrap version --format json
"""


@click.command(epilog=EXAMPLES)
@click.option("-f", "--format", "template", default="", metavar="FORM", help="'json' or a Go template.")
def command(template: str) -> None:
    """Show the version of lxcwrap, liblxc, Python and the kernel."""
    from lxcwrap.actions import versions
    from lxcwrap.cli.goprint import to_json
    from lxcwrap.cli.gotemplate import render

    document = versions.document()
    if template == "json":
        click.echo(to_json(document))
    elif template:
        click.echo(render(template, document))
    else:
        click.echo(_page(document["Client"], document["Server"]))


def _page(client: dict[str, str], server: dict[str, object]) -> str:
    lines = [
        f"lxcwrap:         {client['Version']}",
        f"API of Docker:   {client['ApiVersion']}",
        *(f"{part['Name'] + ':':17}{part['Version']}" for part in server["Components"]),  # type: ignore[attr-defined]
        f"Kernel:          {server['KernelVersion']}",
        f"OS/Arch:         {client['Os']}/{client['Arch']}",
    ]
    return "\n".join(lines)
