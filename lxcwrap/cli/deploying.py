"""Options and doings of the commands that change an application, or show what would change."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lxcwrap.cli.app import App

if TYPE_CHECKING:
    from lxcwrap.deploy.application import Application
    from lxcwrap.deploy.deployment import Wish
    from lxcwrap.deploy.plan import Plan
    from lxcwrap.deploy.release import Records, Release

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--skip-unreachable", is_flag=True, help="Go on without hosts that do not answer; what is there stays there."
    ),
    click.option("--move-unreachable", is_flag=True, help="The same, and have their containers on other hosts."),
    click.option("--only", multiple=True, metavar="SERVICE", help="Leave all other services as they are."),
    click.option("--recreate", is_flag=True, help="Replace containers that are as wanted, too."),
    click.option(
        "--leave-volumes", is_flag=True, help="Containers may move to hosts that do not have their volumes' data."
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=1),
        default=300,
        metavar="SECONDS",
        help="How long a container may take to get healthy, or to complete [default: 300].",
    ),
)
_NAMES = ("skip_unreachable", "move_unreachable", "only", "recreate", "leave_volumes", "timeout")


def deploying_options(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def wish(application: Application, why: str, options: Mapping[str, Any], **more: Any) -> Wish:
    """What the command line asks for."""
    from lxcwrap.cli.deployment import who
    from lxcwrap.deploy.deployment import Wish
    from lxcwrap.deploy.options import Options, Unreachable

    unreachable = Unreachable.REFUSE
    if options["skip_unreachable"]:
        unreachable = Unreachable.LEAVE
    if options["move_unreachable"]:
        unreachable = Unreachable.MOVE
    asked = Options(
        only=tuple(options["only"]),
        recreate=options["recreate"],
        unreachable=unreachable,
        leave_volumes=options["leave_volumes"],
    )
    return Wish(application, why, who(), patience=options["timeout"], options=asked, **more)


def carry_out(app: App, wanted: Wish, *, quiet: bool = False, local: bool = False) -> int:
    """The exit code."""
    from lxcwrap.cli.deployment import Lines, chosen, finish, interruptible
    from lxcwrap.deploy.deployment import Deployment

    application = wanted.application
    builds = wanted.fresh and any(service.build for service in application.services)
    with chosen(app, application.hosts, builds=builds, local=local) as found, interruptible(found) as stopping:
        say = Lines([host.name for host in found.hosts], quiet=quiet)
        report = Deployment(found.hosts, found.here, say, stopping, found.copier).carry_out(wanted)
    return finish(application.name, report)


def show_plan(app: App, wanted: Wish, *, form: str, detailed: bool) -> int:
    from lxcwrap.cli.deployment import CHANGES, chosen
    from lxcwrap.deploy import foresight

    with chosen(app, wanted.application.hosts) as found:
        plan = foresight.plan(found.hosts, found.here, wanted)
    _print(plan, form)
    if plan.problems:
        return 1
    return CHANGES if detailed and not plan.is_empty else 0


def _print(plan: Plan, form: str) -> None:
    from lxcwrap.cli.terminal import printable
    from lxcwrap.deploy import render

    if form == "json":
        click.echo(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
        return
    for line in render.lines(plan):
        click.echo(printable(line))


def records(app: App, name: str) -> list[Records]:
    """The application's releases on all hosts, the oldest first; those that do not answer are named."""
    from lxcwrap.cli.deployment import chosen

    with chosen(app) as found:
        return _records(found.hosts, name)


def _records(hosts: Any, name: str) -> list[Records]:
    from lxcwrap.cli.several import report
    from lxcwrap.deploy import release

    found, problems = release.records_where_possible(hosts, name)
    for problem in problems:
        report(problem)
    if not found and problems:
        raise click.exceptions.Exit(problems[0].exit_code)
    return found


def last(app: App, name: str, number: int = 0) -> Release:
    """Raises NotFound."""
    from lxcwrap.deploy import release

    return release.wanted(records(app, name), name, number)


def roll_back(app: App, name: str, number: int, options: Mapping[str, Any], *, quiet: bool) -> int:
    from lxcwrap.deploy import release
    from lxcwrap.deploy.deployment import images_of

    found = records(app, name)
    back = release.wanted(found, name, number) if number else release.before(found, name)
    why = f"rollback to {back.number}"
    wanted = wish(back.application, why, options, fresh=False, images=images_of(back), given=_configs(back))
    return carry_out(app, _as_rollback(wanted), quiet=quiet)


def _as_rollback(wanted: Wish) -> Wish:
    from dataclasses import replace

    return replace(wanted, is_rollback=True, may_roll_back=False)


def _configs(back: Release) -> dict[str, bytes]:
    """Their content as it was recorded."""
    from lxcwrap.deploy import contents

    return contents.read_all(back.application.configs)


def show_drift(app: App, name: str, *, form: str) -> int:
    from lxcwrap.cli.deployment import CHANGES, chosen
    from lxcwrap.deploy import foresight, release

    with chosen(app) as found:
        back = release.wanted(_records(found.hosts, name), name)
        hosts = tuple(host for host in found.hosts if host.name in back.hosts) or found.hosts
        differences = foresight.drift(hosts, back)
    if form == "json":
        click.echo(json.dumps([one.to_json() for one in differences], indent=2, ensure_ascii=False))
    else:
        from lxcwrap.cli.terminal import printable
        from lxcwrap.deploy import render

        click.echo(f"{name}: release {back.number}")
        for line in render.drift_lines(differences):
            click.echo(printable(line))
    return CHANGES if differences else 0
