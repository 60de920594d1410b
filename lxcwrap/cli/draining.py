"""``host drain``: a host is marked, and what is there moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lxcwrap.cli.app import App
from lxcwrap.cli.several import report
from lxcwrap.errors import LxcwrapError, UsageError

if TYPE_CHECKING:
    from lxcwrap.deploy.host import Host


def drain(app: App, name: str, *, off: bool, options: Mapping[str, Any], quiet: bool) -> int:
    from lxcwrap.deploy.fleet import applications
    from lxcwrap.deploy.host import run

    with _one(app, name) as host:
        run(host, "app-end", "drained", "off" if off else "on")
        names = () if off else applications([host])[host.name]
    if off:
        click.echo(f"{name}: takes containers again")
        return 0
    code = 0
    for application in names:
        try:
            code |= _empty(app, application, name, options, quiet=quiet)
        except LxcwrapError as error:
            report(_of(error, application))
            code = error.exit_code
    if not code:
        click.echo(f"{name}: drained")
    return code


@contextmanager
def _one(app: App, name: str) -> Iterator[Host]:
    """Raises UsageError unless it is one host."""
    from lxcwrap.actions.engines.ssh import SshHost
    from lxcwrap.cli.keyboard import Keyboard
    from lxcwrap.model import hosts as model
    from lxcwrap.remote import hosts

    found = model.select(hosts.read(), name)
    if len(found) != 1:
        raise UsageError(f"{name} names {len(found)} hosts: they are drained one by one")
    engine = SshHost(found[0], Keyboard(), app.given)
    try:
        yield engine
    finally:
        engine.close()


def _empty(app: App, application: str, name: str, options: Mapping[str, Any], *, quiet: bool) -> int:
    """Plan its last completed release anew: the host is not to be on it."""
    from lxcwrap.cli.deploying import carry_out, last, wish
    from lxcwrap.deploy.deployment import images_of

    back = last(app, application)
    wanted = wish(back.application, f"host drain {name}", options, fresh=False, images=images_of(back))
    return carry_out(app, wanted, quiet=quiet)


def _of(error: LxcwrapError, application: str) -> LxcwrapError:
    return LxcwrapError(f"{application}: {error.message}", hint=error.hint)
