"""lxcwrap config."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lxcwrap.cli import application_options as files
from lxcwrap.cli.application_options import application_options
from lxcwrap.errors import NotFound

if TYPE_CHECKING:
    from lxcwrap.deploy.compose.read import Read

EXAMPLES = """\b
Examples:
  lxcwrap config
  lxcwrap config -q -f compose.yaml -f compose.production.yaml && echo fine
  lxcwrap config --images
  lxcwrap config --schema >compose.schema.json
"""


@click.command(epilog=EXAMPLES)
@click.argument("file", default="", metavar="[FILE]")
@application_options
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", help="How it is written.")
@click.option("--services", is_flag=True, help="Only the services' names.")
@click.option("--volumes", is_flag=True, help="Only the volumes' names.")
@click.option("--images", is_flag=True, help="Only the images.")
@click.option("--profiles", "list_profiles", is_flag=True, help="Only the names of all profiles.")
@click.option("--hash", "hashed", default="", metavar="SERVICE", help="Only a hash of a service, or of all: '*'.")
@click.option("-q", "--quiet", is_flag=True, help="Only check it.")
@click.option("--schema", is_flag=True, help="The JSON schema of Compose files, for editors.")
def command(file: str, form: str, hashed: str, quiet: bool, schema: bool, **options: Any) -> None:
    """Check an application's Compose files and print what they come to: merged, with all variables filled in.

    The content of secrets is not shown.
    """
    if schema:
        from lxcwrap.deploy.compose import table

        click.echo(json.dumps(table.schema(), indent=2))
        return
    found = files.load_model(options, file)
    files.show(found.warnings)
    if quiet:
        return
    lines = _listed(found, hashed, options)
    if lines is None:
        click.echo(_document(found, form), nl=False)
    else:
        click.echo("".join(f"{line}\n" for line in lines), nl=False)


def _listed(found: Read, hashed: str, options: dict[str, Any]) -> list[str] | None:
    """The one thing that was asked for, line by line."""
    application = found.application
    if options["services"]:
        return [service.name for service in application.services]
    if options["volumes"]:
        return [volume.name for volume in application.volumes]
    if options["images"]:
        return sorted({service.image for service in application.services})
    if options["list_profiles"]:
        services = found.model.entries("services").values()
        return sorted({item.text for service in services for item in service.get("profiles", default=())})
    return _hashes(found, hashed) if hashed else None


def _hashes(found: Read, wanted: str) -> list[str]:
    from lxcwrap.deploy.compose import shown

    services = [one for one in found.application.services if wanted in ("*", one.name)]
    if not services:
        raise NotFound(f"there is no service {wanted!r:.60}")
    return [f"{service.name} {shown.digest(service)}" for service in services]


def _document(found: Read, form: str) -> str:
    from lxcwrap.deploy.compose import shown

    document = shown.document(found.model)
    if form == "json":
        return json.dumps(document, indent=2) + "\n"
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)
    return text
