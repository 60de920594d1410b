"""Change a container that exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lxcwrap.cli.app import App, pass_app

if TYPE_CHECKING:
    from lxcwrap.actions.edit import Changes
    from lxcwrap.store.images import Image

_EMPTY = ("words", "entrypoint", "user")  # that nothing is given for them is a change too

EXAMPLES = """\b
Examples:
  lxcwrap container edit -p 8443:443 --publish-rm 80 web
  lxcwrap container edit -e MODE=debug --env-rm TOKEN web
  lxcwrap container edit -v data:/data --volume-rm /old web
  lxcwrap container edit --image shop:2.1 web
  lxcwrap container edit --command 'nginx -g "daemon off;"' --restart always web
"""


@click.command(epilog=EXAMPLES)
@click.argument("container")
@click.option("--command", "words", default=None, metavar="WORDS", help="Another command, quoted as for a shell.")
@click.option("--entrypoint", default=None, metavar="COMMAND", help="Another entrypoint; '' for none.")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set an environment variable.")
@click.option("--env-rm", multiple=True, metavar="NAME", help="Take an environment variable away.")
@click.option("--image", default="", metavar="IMAGE", help="Another image below what the container wrote.")
@click.option("-l", "--label", multiple=True, metavar="NAME[=VALUE]", help="Set a label.")
@click.option("--label-rm", multiple=True, metavar="NAME", help="Take a label away.")
@click.option("--mount", multiple=True, metavar="FIELDS", help="Add or replace a mount.")
@click.option("-p", "--publish", multiple=True, metavar="[IP:][PORT:]PORT", help="Publish a port.")
@click.option("--publish-rm", multiple=True, metavar="PORT[/PROTOCOL]", help="No longer publish a container's port.")
@click.option("--restart", default="", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped.")
@click.option("--tmpfs", multiple=True, metavar="DIR[:OPTIONS]", help="Add or replace a tmpfs.")
@click.option("-u", "--user", default=None, metavar="USER[:GROUP]", help="Whom to run as; '' for root.")
@click.option("-v", "--volume", multiple=True, metavar="[SOURCE:]DIR[:ro]", help="Add or replace a mount.")
@click.option("--volume-rm", multiple=True, metavar="DIR", help="Take a mount away; a volume keeps its files.")
@click.option("-w", "--workdir", default="", metavar="DIR", help="Working directory.")
@pass_app
def command(app: App, container: str, **options: Any) -> None:
    """Change image, command, ports, mounts, environment and labels of a container.

    It keeps its ID, name and files.  A running one is stopped and started; when it does not start with the changes
    they are taken back and it is started as it was.  With another image, what the container was made with stays, and
    what came from the old image comes from the new one; files that the container changed or removed hide the new
    image's.
    """
    from lxcwrap.actions.edit import edit
    from lxcwrap.cli.making import finder
    from lxcwrap.errors import UsageError
    from lxcwrap.storage import driver as drivers
    from lxcwrap.store import containers

    if not any(value or (value == "" and name in _EMPTY) for name, value in options.items()):
        raise UsageError("nothing to change", hint="see: lxcwrap container edit --help")
    found = containers.resolve(app.store, container)
    driver = drivers.load(found.driver)
    find = finder(app, driver, {"pull": "missing", "quiet": False, "platform": ""})
    changes = _changes(options, find)
    edit(app.store, driver, found, changes, find(changes.image) if changes.image else None)
    click.echo(container)


def _changes(options: dict[str, Any], find: Callable[[str], Image]) -> Changes:
    """Raises UsageError, or what ``find`` raises."""
    import shlex

    from lxcwrap.actions import image_mounts
    from lxcwrap.actions.edit import Changes
    from lxcwrap.cli.container_options import environment, mounts
    from lxcwrap.errors import UsageError
    from lxcwrap.model import run_flags

    words, entrypoint = options["words"], options["entrypoint"]
    try:
        command = None if words is None else tuple(shlex.split(words))
    except ValueError as error:
        raise UsageError(f"--command {words!r:.80}: {error}") from None
    return Changes(
        ports=tuple(port for text in options["publish"] for port in run_flags.ports(text)),
        mounts=image_mounts.pinned(mounts(options), find),
        env=environment(options["env"], ()),
        labels=tuple(run_flags.label(text) for text in options["label"]),
        ports_gone=options["publish_rm"],
        targets_gone=options["volume_rm"],
        env_gone=options["env_rm"],
        labels_gone=options["label_rm"],
        image=options["image"],
        entrypoint=None if entrypoint is None else tuple(filter(None, (entrypoint,))),
        command=command,
        user=options["user"],
        working_dir=options["workdir"],
        restart=run_flags.restart(options["restart"]) if options["restart"] else None,
    )
