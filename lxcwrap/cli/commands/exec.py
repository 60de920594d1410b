"""``lxcwrap exec``."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.terminal import check_input, ended_or_left

group = "container"


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog="\b\nExamples:\n  lxcwrap exec -it web sh\n  lxcwrap exec -u daemon -w /tmp web id\n",
)
@click.option("-d", "--detach", is_flag=True, help="Leave it running in the background.")
@click.option("--detach-keys", default="", metavar="KEYS", help="Keys that detach [default: ctrl-p,ctrl-q].")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable.")
@click.option("--env-file", multiple=True, metavar="FILE", help="Environment variables from a file.")
@click.option("-i", "--interactive", is_flag=True, help="Keep stdin open.")
@click.option("--privileged", is_flag=True, help="With all capabilities in the container, and without seccomp.")
@click.option("-t", "--tty", is_flag=True, help="Give the process a terminal.")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="Whom to run as.")
@click.option("-w", "--workdir", default="", metavar="DIR", help="Working directory.")
@click.argument("container")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_app
def command(
    app: App,
    container: str,
    command: tuple[str, ...],
    detach: bool,
    detach_keys: str,
    env: tuple[str, ...],
    env_file: tuple[str, ...],
    interactive: bool,
    privileged: bool,
    tty: bool,
    user: str,
    workdir: str,
) -> int:
    """Run a command in a running container."""
    from lxcwrap.actions import exec as executing
    from lxcwrap.runtime import detach as keys
    from lxcwrap.store.names import resolve

    if not detach:
        check_input(stdin=interactive, tty=tty)
    if env or env_file:
        from lxcwrap.cli.container_options import environment

        env = environment(env, env_file)

    wish = executing.Wish(
        argv=command,
        env=env,
        working_dir=workdir,
        user=user,
        tty=tty,
        stdin=interactive,
        privileged=privileged,
        detached=detach,
        keys=keys.parse(detach_keys or keys.DEFAULT),
    )
    found = resolve(app.store, container)
    return ended_or_left(executing.execute(app.paths, found.id, found.name, wish))
