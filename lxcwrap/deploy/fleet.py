"""All hosts of an application: asked at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lxcwrap.deploy.application import Application
from lxcwrap.deploy.host import Host, ask, together
from lxcwrap.deploy.observation import HostState
from lxcwrap.errors import Corrupt, LxcwrapError


def observe(hosts: Sequence[Host], application: Application) -> tuple[HostState, ...]:
    """In the hosts' order; one that does not answer says so in its ``problem``."""
    images = sorted({service.image for service in application.services})
    words = ("app-end", "observe", application.name, *(word for image in images for word in ("--image", image)))

    def one(host: Host) -> HostState:
        state = _parsed(ask(host, *words), host.name)
        return replace(state, name=host.name, labels=host.labels or state.labels)

    return tuple(_or_problem(name, result) for name, result in together(hosts, one).items())


def _or_problem(name: str, result: HostState | LxcwrapError) -> HostState:
    return HostState(name, problem=result.message) if isinstance(result, LxcwrapError) else result


def _parsed(plain: Any, where: str) -> HostState:
    from lxcwrap.deploy.written import typed

    try:
        return typed(HostState, plain)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Corrupt(
            f"{where}: what it answers is not understood ({error})", hint="the same lxcwrap has to be everywhere"
        ) from None


def applications(hosts: Iterable[Host]) -> dict[str, tuple[str, ...]]:
    """Names of the applications that have containers on each host."""
    form = '{{.Label "lxcwrap.app"}}'
    words = ("ps", "-a", "--filter", "label=lxcwrap.app", "--format", form)

    def one(host: Host) -> tuple[str, ...]:
        return tuple(sorted(set(host.run(words).out.decode().split())))

    found = together(hosts, one)
    return {name: names for name, names in found.items() if not isinstance(names, LxcwrapError)}
