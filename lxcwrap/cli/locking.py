"""Who holds an application's lock on its hosts, and ending that."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App
from lxcwrap.cli.several import report
from lxcwrap.cli.terminal import printable
from lxcwrap.errors import LxcwrapError


def status(app: App, name: str) -> int:
    return _each(app, name, "is being changed by", release=False)


def release(app: App, name: str) -> int:
    _each(app, name, "was being changed by", release=True)
    return 0


def _each(app: App, name: str, words: str, *, release: bool) -> int:
    """A line for each host where it is held; 1 when one is."""
    from lxcwrap.cli.deployment import chosen
    from lxcwrap.deploy.host import Host, ask, together
    from lxcwrap.deploy.locks import described

    def one(host: Host) -> Any:
        holder = ask(host, "app-end", "lock-status", name).get("holder")
        if holder and release:
            ask(host, "app-end", "lock-release", name)
        return holder

    found = 0
    with chosen(app) as hosts:
        for where, holder in together(hosts.hosts, one).items():
            if isinstance(holder, LxcwrapError):
                report(holder)
            elif holder:
                found = 1
                click.echo(printable(f"{where}: {name} {words} {described(holder)}"))
    if not found:
        click.echo(f"{name} is not locked")
    return found
