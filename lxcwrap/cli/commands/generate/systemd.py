"""Print a systemd unit."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app

RESTARTS = ("no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always")
EXAMPLES = """\b
Examples:
  lxcwrap generate systemd web >/etc/systemd/system/web.service
  lxcwrap generate systemd --quadlet web.container >/etc/systemd/system/web.service
"""


@click.command(epilog=EXAMPLES)
@click.option("--quadlet", is_flag=True, help="NAME is a quadlet file (.container).")
@click.option("--restart-policy", type=click.Choice(RESTARTS), default="on-failure", help="Restart= of the unit.")
@click.argument("name", metavar="NAME|FILE")
@pass_app
def command(app: App, name: str, quadlet: bool, restart_policy: str) -> None:
    """Print the unit by which systemd runs a container.

    The unit is ready when the container runs, or with a health check when that says healthy.
    """
    from lxcwrap.actions import boot
    from lxcwrap.errors import UsageError
    from lxcwrap.model import systemd
    from lxcwrap.store.containers import resolve

    program, root = boot.program(app.paths), app.paths.root
    if not quadlet:
        found = resolve(app.store, name)
        patience = max(found.config.stop_timeout, 0)
        click.echo(
            systemd.container_unit(program, root, found.name, restart=restart_policy, patience=patience), nl=False
        )
        return
    try:
        with open(name, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: {getattr(error, 'strerror', '') or 'not UTF-8 text'}", exit_code=1) from None
    click.echo(systemd.quadlet(text, name, program, root), nl=False)
