"""Log in to a registry."""

from __future__ import annotations

import sys

import click

EXAMPLES = """\b
Examples:
  lxcwrap login
  lxcwrap login -u me registry.example.com:5000
  pass show registry | lxcwrap login -u me --password-stdin registry.example.com
"""


@click.command(epilog=EXAMPLES)
@click.argument("server", default="")
@click.option("-u", "--username", default="", metavar="NAME", help="The user's name; asked for when missing.")
@click.option("-p", "--password", default=None, metavar="TEXT", help="The password, for everybody on this host to see.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def command(server: str, username: str, password: str | None, password_stdin: bool) -> None:
    """Log in to a registry (Docker Hub without SERVER) and keep the credentials for pull and push.

    The registry is asked whether they are right; they are stored in ~/.config/lxcwrap/auth.json, readable by their
    owner only.  What docker login has stored is used too.
    """
    from lxcwrap.actions import login
    from lxcwrap.registry.credentials import Credentials

    if password is not None and password_stdin:
        from lxcwrap.errors import UsageError

        raise UsageError("--password and --password-stdin exclude each other", exit_code=1)
    if password is not None:
        click.echo("WARNING! Using --password via the CLI is insecure. Use --password-stdin.", err=True)
    domain = login.domain_of(server)
    if password_stdin:
        username, password = _needed(username), sys.stdin.read().rstrip("\r\n")
    elif password is None or not username:
        username, password = _ask(domain, username, password)
    path = login.login(server, Credentials(username, password))
    click.echo(f"WARNING! Your password will be stored unencrypted in {path}.", err=True)
    click.echo("Login Succeeded")


def _needed(username: str) -> str:
    if not username:
        from lxcwrap.errors import UsageError

        raise UsageError("--password-stdin needs --username", exit_code=1)
    return username


def _ask(domain: str, username: str, password: str | None) -> tuple[str, str]:
    """What is missing, from the terminal; the password is not shown.  Raises LxcwrapError without a terminal."""
    from getpass import getpass

    from lxcwrap.actions import login
    from lxcwrap.errors import LxcwrapError

    if not sys.stdin.isatty():
        raise LxcwrapError("cannot ask for a password without a terminal", hint="use --username and --password-stdin")
    known = login.stored(domain)
    if not username:
        suggestion = f" ({known.username})" if known else ""
        username = input(f"Username{suggestion}: ").strip() or (known.username if known else "")
    if not username:
        raise LxcwrapError("a user's name is needed")
    given = getpass("Password: ") if password is None else password
    if not given:
        raise LxcwrapError("a password is needed")
    return username, given
