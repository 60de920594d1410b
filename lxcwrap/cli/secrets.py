"""Secrets of an application on its hosts, by hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from lxcwrap.cli.app import App
from lxcwrap.cli.several import report
from lxcwrap.errors import LxcwrapError, NotFound, UsageError

_LARGEST = 1 << 20  # bytes


def content(file: str) -> bytes:
    """Raises UsageError, NotFound."""
    if file == "-":
        if sys.stdin.isatty():
            raise UsageError("the secret comes from a file or standard input", hint="lxcwrap secret set KEY FILE")
        found = sys.stdin.buffer.read(_LARGEST + 1)
    else:
        try:
            with open(file, "rb") as stream:
                found = stream.read(_LARGEST + 1)
        except OSError as error:
            raise NotFound(f"{file} cannot be read: {error.strerror}") from None
    if len(found) > _LARGEST:
        raise UsageError(f"{file}: a secret has at most {_LARGEST} bytes")
    return found


def listed(app: App, name: str) -> tuple[list[dict[str, Any]], int]:
    from lxcwrap.cli.deployment import chosen
    from lxcwrap.deploy.application import Application
    from lxcwrap.deploy.fleet import observe

    with chosen(app) as hosts:
        states = observe(hosts.hosts, Application(name))
    for state in states:
        if state.problem:
            report(LxcwrapError(state.problem))
    rows = [{"Host": state.name, "Key": key, "Version": version} for state in states for key, version in state.secrets]
    return rows, int(any(state.problem for state in states))


def put(app: App, name: str, key: str, value: bytes) -> int:
    from lxcwrap.deploy.host import ask

    return _each(app, lambda host: ask(host, "app-end", "secret-put", name, key, stdin=value))


def remove(app: App, name: str, key: str) -> int:
    from lxcwrap.deploy.host import run

    return _each(app, lambda host: run(host, "app-end", "secret-rm", name, key))


def _each(app: App, work: Any) -> int:
    """On all hosts; each that did it is printed."""
    from lxcwrap.cli.deployment import chosen
    from lxcwrap.deploy.host import together

    failed = 0
    with chosen(app) as hosts:
        for where, result in together(hosts.hosts, work).items():
            if isinstance(result, LxcwrapError):
                report(result)
                failed = 1
            else:
                click.echo(where)
    return failed


def rotate(app: App, name: str, key: str, value: bytes, options: Mapping[str, Any], *, quiet: bool) -> int:
    from lxcwrap.cli.deploying import carry_out, last, wish
    from lxcwrap.deploy.deployment import images_of

    back = last(app, name)
    keys = {secret.name: secret.key for secret in back.application.secrets}
    key = keys.get(key, key)
    if key not in keys.values():
        raise NotFound(
            f"{name} has no secret {key!r:.60} in release {back.number}", hint=f"it has: {', '.join(keys) or 'none'}"
        )
    wanted = wish(
        back.application, f"secret rotate {key}", options, fresh=False, images=images_of(back), given={key: value}
    )
    return carry_out(app, wanted, quiet=quiet)
