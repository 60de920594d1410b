"""lxcwrap build."""

from __future__ import annotations

import os
import signal
import sys

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import all_of, refused
from lxcwrap.errors import UsageError

group = "image"

_LATER = "it comes with a later version of the builder"
_REFUSED = all_of(
    refused("--allow", reason="builds have no entitlements"),
    refused("--annotation", reason=_LATER),
    refused("--attest", reason="images get no attestations"),
    refused("--build-context", reason=_LATER),
    refused("--builder", reason="there is one builder"),
    refused("--cache-from", reason=_LATER),
    refused("--cache-to", reason=_LATER),
    refused("--cgroup-parent", reason="steps run in a cgroup of lxcwrap's own"),
    refused("--metadata-file", reason=_LATER),
    refused("--no-cache-filter", reason=_LATER),
    refused("-o", "--output", reason="use lxcwrap save, or export a container"),
    refused("--provenance", reason="images get no attestations"),
    refused("--push", reason="use lxcwrap push", value=False),
    refused("--sbom", reason="images get no attestations"),
    refused("--secret", reason=_LATER),
    refused("--shm-size", reason=_LATER),
    refused("--ssh", reason=_LATER),
    refused("--ulimit", reason=_LATER),
    refused("--squash", reason="layers are shared, squashing would copy them", value=False),
    refused("--memory", "-m", reason=_LATER),
)


@click.command(
    epilog="\b\nExamples:\n"
    "  lxcwrap build -t me/memcached .\n"
    "  lxcwrap build -f docker/Dockerfile --build-arg VERSION=1.2 --target test .\n"
    "  tar -c . | lxcwrap build -t app -"
)
@click.argument("context", metavar="PATH|-")
@click.option("-t", "--tag", "tags", multiple=True, metavar="REF", help="A name for the image; may be repeated.")
@click.option(
    "-f", "--file", "dockerfile", default="", metavar="FILE", help="The Dockerfile, or - [default: PATH/Dockerfile]."
)
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME[=VALUE]", help="A value for an ARG.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of the image.")
@click.option("--target", default="", metavar="STAGE", help="The stage to build [default: the last].")
@click.option("--platform", default="", metavar="OS/ARCH", help="What the image is for [default: this host's].")
@click.option("--network", default="default", metavar="MODE", help="For RUN: default, none or host.")
@click.option("--add-host", "extra_hosts", multiple=True, metavar="NAME:ADDRESS", help="A line of RUN's /etc/hosts.")
@click.option("--no-cache", is_flag=True, help="Carry out every step anew.")
@click.option("--pull", is_flag=True, help="Ask the registries for newer base images.")
@click.option("--iidfile", default="", metavar="FILE", help="Write the image's ID to a file.")
@click.option("-q", "--quiet", is_flag=True, help="Print the image's ID only.")
@click.option(
    "--progress", "style", default="auto", type=click.Choice(["auto", "plain", "tty", "quiet"]), help="How it is shown."
)
@click.option("--rm/--no-rm", default=True, hidden=True, help="Steps leave no containers behind.")
@click.option("--force-rm", is_flag=True, hidden=True)
@click.option("--load", is_flag=True, hidden=True, help="The image is always here afterwards.")
@_REFUSED
@pass_app
def command(
    app: App,
    context: str,
    tags: tuple[str, ...],
    dockerfile: str,
    arguments: tuple[str, ...],
    labels: tuple[str, ...],
    target: str,
    platform: str,
    network: str,
    extra_hosts: tuple[str, ...],
    no_cache: bool,
    pull: bool,
    iidfile: str,
    quiet: bool,
    style: str,
    **ignored: bool,
) -> None:
    """Make an image from a Dockerfile and the files in a folder.

    With - the context is a tar archive on stdin, or a Dockerfile alone.
    """
    from lxcwrap.actions import build as action
    from lxcwrap.cli import building
    from lxcwrap.storage import driver

    request = action.Request(
        context=context,
        dockerfile=dockerfile,
        tags=tags,
        arguments=_arguments(arguments),
        labels=_labels(labels),
        target=target,
        platform=platform,
        network=network,
        extra_hosts=_hosts(extra_hosts),
        use_cache=not no_cache,
        pull=pull,
    )
    if iidfile:
        action.clear_image_id(iidfile)
    signal.signal(signal.SIGTERM, _terminated)
    with building.shown("quiet" if quiet else style) as report:
        chosen = driver.choose(app.store, app.storage_driver)
        built = action.build(app.store, chosen, request, sys.stdin.buffer, report)
    if iidfile:
        action.write_image_id(iidfile, built.image_id)
    if quiet:
        click.echo(built.image_id)


def _terminated(number: int, frame: object) -> None:
    """Everything that a step has in use is taken down on the way out, as after Ctrl-C."""
    raise click.exceptions.Exit(128 + number)


def _hosts(items: tuple[str, ...]) -> tuple[str, ...]:
    if not items:
        return ()
    from lxcwrap.model import run_flags  # with a container's whole model behind it

    return tuple(map(run_flags.extra_host, items))


def _arguments(items: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """``NAME=value``; ``NAME`` alone takes the value from the environment, or stays away."""
    found = []
    for item in items:
        name, equals, value = item.partition("=")
        if not name:
            raise UsageError(f"--build-arg {item!r:.60} is not NAME=VALUE")
        if equals:
            found.append((name, value))
        elif name in os.environ:
            found.append((name, os.environ[name]))
    return tuple(found)


def _labels(items: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for item in items:
        name, _, value = item.partition("=")
        if not name:
            raise UsageError(f"--label {item!r:.60} has no name")
        found.append((name, value))
    return tuple(found)
