"""Make a volume."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused
from lxcwrap.errors import UsageError

EXAMPLES = """\b
Examples:
  lxcwrap volume create data
  lxcwrap volume create --label app=shop data
  lxcwrap run -v data:/var/lib/data busybox touch /var/lib/data/x
  lxcwrap volume create -o type=none,o=bind,device=/srv/photos photos
  lxcwrap volume create -o type=tmpfs -o o=size=64m,mode=1770 scratch
"""

_CLUSTER = "cluster volumes need a Swarm"


@click.command(epilog=EXAMPLES)
@click.argument("name", default="", metavar="[VOLUME]")
@click.option("-d", "--driver", default="local", metavar="NAME", help="Only 'local'.", show_default=True)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label.")
@click.option("-o", "--opt", "options", multiple=True, metavar="NAME=VALUE", help="type=, device= and o= of a mount.")
@refused("--availability", reason=_CLUSTER)
@refused("--group", reason=_CLUSTER)
@refused("--limit-bytes", reason=_CLUSTER)
@refused("--required-bytes", reason=_CLUSTER)
@refused("--scope", reason=_CLUSTER)
@refused("--secret", reason=_CLUSTER)
@refused("--sharing", reason=_CLUSTER)
@refused("--topology-preferred", reason=_CLUSTER)
@refused("--topology-required", reason=_CLUSTER)
@refused("--type", reason=_CLUSTER)
@pass_app
def command(app: App, name: str, driver: str, labels: tuple[str, ...], options: tuple[str, ...]) -> None:
    """Make a volume; without a name, an anonymous one.  One that exists is left as it is."""
    from lxcwrap.actions import volumes
    from lxcwrap.model.names import check_text
    from lxcwrap.model.volume_options import parse

    for label in labels:
        check_text(label, "label", newlines=True)
    if len(name) == 1:
        raise UsageError(f"volume name {name!r} is too short", hint="use at least two characters", exit_code=1)
    given = volumes.pairs(labels, "label")
    click.echo(volumes.create(app.store, name, labels=given, options=parse(options), driver=driver).name)
