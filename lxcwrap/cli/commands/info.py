"""Show this host."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.terminal import printable

group = "system"

EXAMPLES = """\b
Examples:
  lxcwrap info
  lxcwrap info -f '{{.Driver}} {{.UserNamespaces}}'
  lxcwrap info -f '{{range .Warnings}}{{println .}}{{end}}'
"""


@click.command(epilog=EXAMPLES)
@click.option("-f", "--format", "template", default="", metavar="FORM", help="'json' or a Go template.")
@pass_app
def command(app: App, template: str) -> None:
    """Show how lxcwrap stands on this host: storage, security, limits, registries, and what to look at."""
    from lxcwrap.actions import information
    from lxcwrap.cli.goprint import to_json
    from lxcwrap.cli.gotemplate import compile_template, render

    if template and template != "json":
        compile_template(template)
    document = information.document(app.store, app.storage_driver)
    if template == "json":
        click.echo(to_json(document))
    elif template:
        click.echo(render(template, document))
    else:
        _page(document)


def _page(known: dict[str, Any]) -> None:
    from lxcwrap.model.units import show_memory

    registries = known["RegistryConfig"]
    lines = [
        f"Containers: {known['Containers']}",
        f" Running: {known['ContainersRunning']}",
        f" Paused: {known['ContainersPaused']}",
        f" Stopped: {known['ContainersStopped']}",
        f"Images: {known['Images']}",
        f"Server Version: {known['ServerVersion']}",
        f"Storage Driver: {known['Driver']}",
        *(f" {name}: {value}" for name, value in known["DriverStatus"]),
        f"Logging Driver: {known['LoggingDriver']}",
        f"Cgroup Version: {known['CgroupVersion']}",
        f"User Namespaces: {'yes' if known['UserNamespaces'] else 'no: ' + known['UserNamespacesReason']}",
        "Security Options:",
        *(f" {option.removeprefix('name=')}" for option in known["SecurityOptions"]),
        f"Runtime: liblxc {known['Runtimes']['lxc']['version']}",
        f"Kernel Version: {known['KernelVersion']}",
        f"Operating System: {known['OperatingSystem']}",
        f"Architecture: {known['Architecture']}",
        f"CPUs: {known['NCPU']}",
        f"Total Memory: {show_memory(known['MemTotal'])}",
        f"Name: {known['Name']}",
        f"Root Dir: {known['DockerRootDir']}",
        "Insecure Registries:",
        *(f" {item}" for item in (*registries["InsecureRegistries"], *registries["InsecureRegistryCIDRs"])),
        *(["Registry Mirrors:"] if registries["MirrorsByRegistry"] else []),
        *(f" {name}: {' '.join(urls)}" for name, urls in registries["MirrorsByRegistry"].items()),
    ]
    click.echo("\n".join(map(printable, lines)))
    for warning in known["Warnings"]:
        click.echo(f"WARNING: {printable(warning)}", err=True)
