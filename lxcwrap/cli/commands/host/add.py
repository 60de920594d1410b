"""lxcwrap host add."""

from __future__ import annotations

import sys

import click

from lxcwrap.errors import LxcwrapError, UsageError

EXAMPLES = """\b
Examples:
  lxcwrap host add web1 root@10.0.0.7
  lxcwrap host add web2 deploy@web2.example.com:2222 --label zone=a --identity ~/.ssh/deploy
  lxcwrap host add web3 root@10.0.0.9 --fingerprint SHA256:jKl…
"""


@click.command(epilog=EXAMPLES)
@click.argument("name")
@click.argument("address", metavar="[[USER@]ADDRESS[:PORT]]", default="")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label, to choose hosts by.")
@click.option("--identity", default="", metavar="FILE", help="The private key to log in with.")
@click.option("--sudo/--no-sudo", default=None, help="Whether to become root by sudo [default: unless USER is root].")
@click.option(
    "--fingerprint", default="", metavar="SHA256:…", help="The host's key, known from elsewhere: no question."
)
@click.option("-y", "--yes", is_flag=True, help="Take the key that the host shows, without a question.")
@click.option("--replace", is_flag=True, help="Change a host of that name, and take a key that has changed.")
def command(
    name: str,
    address: str,
    labels: tuple[str, ...],
    identity: str,
    sudo: bool | None,
    fingerprint: str,
    yes: bool,
    replace: bool,
) -> None:
    """Enrol a host: show its key, and know it by that key from then on.

    ADDRESS may be a name of ~/.ssh/config; without it NAME is.
    """
    import dataclasses
    import os

    from lxcwrap.cli.keyboard import Keyboard
    from lxcwrap.model import hosts as model
    from lxcwrap.remote import hosts, known, ssh

    host = dataclasses.replace(
        model.parse_target(address or name),
        name=model.check_host_name(name),
        identity=os.path.abspath(identity) if identity else "",
        sudo=sudo,
        labels=tuple(_label(item) for item in labels),
    )
    if identity and not os.path.isfile(identity):
        raise UsageError(f"--identity: there is no file {identity}")
    if hosts.read().find(name) and not replace:
        raise UsageError(f"there is a host {name} already", hint="--replace changes it", exit_code=1)
    shown = ssh.host_key(host, Keyboard())
    mark = known.fingerprint(shown.blob)
    if shown.known == "changed" and not replace:
        raise LxcwrapError(
            f"{name} shows another host key than the one that is known for {shown.name}: {shown.kind} {mark}",
            hint="somebody may listen in; --replace takes the new key",
        )
    if fingerprint and fingerprint != mark:
        raise LxcwrapError(
            f"{name} shows another host key: {mark}", hint="the host at this address is not the one meant"
        )
    if shown.known != "yes":
        click.echo(f"{shown.name} shows the {shown.kind} key {mark}")
        if not (yes or fingerprint or _agreed()):
            raise LxcwrapError(
                "not enrolled", hint="ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there prints its key"
            )
        known.enrol(shown.name, shown.kind, shown.blob)
    hosts.add(host, replace=replace)
    click.echo(name)


def _label(item: str) -> tuple[str, str]:
    key, _, value = item.partition("=")
    if not key:
        raise UsageError(f"--label {item!r:.60} is not KEY=VALUE")
    return key, value


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to say whether that is the host's key", hint="--fingerprint SHA256:… or --yes")
    return input("Is that the host's key? [y/N] ").strip().lower() in ("y", "yes")
