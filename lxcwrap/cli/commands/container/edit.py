"""Change a container that exists."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app

EXAMPLES = """\b
Examples:
  lxcwrap container edit -p 8443:443 --publish-rm 80 web
  lxcwrap container edit -e MODE=debug --env-rm TOKEN web
  lxcwrap container edit -v data:/data --volume-rm /old web
"""


@click.command(epilog=EXAMPLES)
@click.argument("container")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set an environment variable.")
@click.option("--env-rm", multiple=True, metavar="NAME", help="Take an environment variable away.")
@click.option("-l", "--label", multiple=True, metavar="NAME[=VALUE]", help="Set a label.")
@click.option("--label-rm", multiple=True, metavar="NAME", help="Take a label away.")
@click.option("--mount", multiple=True, metavar="FIELDS", help="Add or replace a mount.")
@click.option("-p", "--publish", multiple=True, metavar="[IP:][PORT:]PORT", help="Publish a port.")
@click.option("--publish-rm", multiple=True, metavar="PORT[/PROTOCOL]", help="No longer publish a container's port.")
@click.option("--tmpfs", multiple=True, metavar="DIR[:OPTIONS]", help="Add or replace a tmpfs.")
@click.option("-v", "--volume", multiple=True, metavar="[SOURCE:]DIR[:ro]", help="Add or replace a mount.")
@click.option("--volume-rm", multiple=True, metavar="DIR", help="Take a mount away; a volume keeps its files.")
@pass_app
def command(app: App, container: str, **options: Any) -> None:
    """Change ports, mounts, environment and labels of a container.

    It keeps its ID, name and files.  A running one is stopped and started; when it does not start with the changes
    they are taken back and it is started as it was.
    """
    from lxcwrap.actions.edit import Changes, edit
    from lxcwrap.cli.container_options import environment, mounts
    from lxcwrap.errors import UsageError
    from lxcwrap.model import run_flags
    from lxcwrap.store import containers

    if not any(options.values()):
        raise UsageError("nothing to change", hint="see: lxcwrap container edit --help")
    changes = Changes(
        ports=tuple(port for text in options["publish"] for port in run_flags.ports(text)),
        mounts=mounts(options),
        env=environment(options["env"], ()),
        labels=tuple(run_flags.label(text) for text in options["label"]),
        ports_gone=options["publish_rm"],
        targets_gone=options["volume_rm"],
        env_gone=options["env_rm"],
        labels_gone=options["label_rm"],
    )
    found = containers.resolve(app.store, container)
    edit(app.store, found, changes)
    click.echo(container)
