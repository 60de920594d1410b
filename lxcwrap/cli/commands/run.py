"""``lxcwrap run``."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.container_options import asked, container_options, reads_stdin
from lxcwrap.cli.terminal import check_input
from lxcwrap.errors import UsageError
from lxcwrap.runtime import siblings

group = "container"


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Examples:
  lxcwrap run -it --rm debian bash
  lxcwrap run -d --name web -p 8080:80 -v site:/var/www me/web
  lxcwrap run --rm --memory 256m --cpus 0.5 busybox sh -c 'echo hello'
""",
)
@container_options
@click.option("-d", "--detach", is_flag=True, help="Run in the background and print the container's ID.")
@click.option("--detach-keys", default="", metavar="KEYS", help="Keys that detach [default: ctrl-p,ctrl-q].")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to the container.")
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_app
def command(app: App, image: str, command: tuple[str, ...], **options: Any) -> int:
    """Make a container from an image and run it."""
    config = asked(options, image, command, detached=options["detach"])
    if options["detach"] and options["attach"]:
        raise UsageError("conflicting options: -a and -d", exit_code=1)
    if not options["detach"]:
        check_input(stdin=reads_stdin(config), tty=config.tty)
    supervisor = siblings.supervisor(app.paths, sealed=False)  # gets ready while the container is made
    return _run(app, config, options, supervisor)


def _run(app: App, config: Any, options: dict[str, Any], supervisor: int) -> int:
    from lxcwrap.actions import run
    from lxcwrap.cli.making import make
    from lxcwrap.runtime import detach

    keys = detach.parse(options["detach_keys"] or detach.DEFAULT)
    run.check_cidfile(config.cidfile)
    container = make(app, config, options)
    if options["detach"]:
        run.background(app.store, container, supervisor)
        print(container.id)
        return 0
    ended = run.foreground(
        app.store, container, supervisor, keys=keys, proxy=options["sig_proxy"], streams=container.config.attach
    )
    return ended.code if ended else 0
