"""Hosts that exist only as what they would answer, and what a plan would make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lxcwrap.deploy.application import Application, Service
from lxcwrap.deploy.observation import APP, HostState, Replica, final_name, incoming_name
from lxcwrap.deploy.plan import Action, Change, Plan
from lxcwrap.deploy.planner import plan

IMAGE = "sha256:" + "1a" * 32
NEWER = "sha256:" + "2b" * 32


def service(name: str = "web", **more: Any) -> Service:
    return Service(name, f"example/{name}:1", **more)


def application(*services: Service, **more: Any) -> Application:
    return Application("shop", services, **more)


def hosts(count: int, **more: Any) -> list[HostState]:
    """host1 … with every image."""
    return [HostState(f"host{number}", **more) for number in range(1, count + 1)]


def with_images(app: Application, states: Iterable[HostState], image: str = IMAGE) -> list[HostState]:
    return [replace(state, images=tuple((service.image, image) for service in app.services)) for state in states]


def deployed(app: Application, states: Sequence[HostState], release: int = 1, **more: Any) -> list[HostState]:
    """What the hosts have after a deployment."""
    states = with_images(app, states) if not any(state.images for state in states) else list(states)
    return apply(plan(app, states, release=release, **more), states)


def apply(made: Plan, states: Sequence[HostState]) -> list[HostState]:
    """Everything that a plan says has happened."""
    hosts = {state.name: state for state in states}
    for leftover in made.leftovers:
        _remove(hosts, leftover.host, leftover.container)
    for change in made.changes:
        _carry_out(made, change, hosts)
    for item in made.items:
        _bring(hosts, item.kind, item.host, item.name)
    return [replace(hosts[state.name], release=made.release) for state in states]


def _bring(hosts: dict[str, HostState], kind: str, host: str, name: str) -> None:
    state = hosts[host]
    if kind == "network":
        hosts[host] = replace(state, networks=(*state.networks, name))
    elif kind == "volume":
        hosts[host] = replace(state, volumes=(*state.volumes, name))
    elif kind == "image":
        others = tuple(pair for pair in state.images if pair[0] != name)
        hosts[host] = replace(state, images=(*others, (name, NEWER)))
    else:
        others = tuple(pair for pair in state.secrets if pair[0] != name)
        hosts[host] = replace(state, secrets=(*others, (name, "v1")))


def _carry_out(made: Plan, change: Change, hosts: dict[str, HostState]) -> None:
    source = change.from_host or change.host
    if change.action is Action.START:
        state = hosts[change.host]
        started = (replace(one, state="running") if one.id == change.container else one for one in state.replicas)
        hosts[change.host] = replace(state, replicas=tuple(started))
        return
    if change.container:
        _remove(hosts, source, change.container)
    if change.action is Action.REMOVE:
        return
    if change.incoming:
        _remove(hosts, change.host, change.incoming)
    _add(hosts, change.host, container(made.app, change, made.release, hosts[change.host]))


def container(app: str, change: Change, release: int, host: HostState, incoming: bool = False) -> Replica:
    """What a change makes."""
    name = final_name(app, change.service, change.slot)
    return Replica(
        id=f"{host.name}-{change.service}-{change.slot}-{release}{'-coming' if incoming else ''}",
        name=incoming_name(app, change.service, change.slot, release) if incoming else name,
        service=change.service,
        slot=change.slot,
        release=release,
        spec=change.spec,
        image=dict(host.images).get(f"example/{change.service}:1", IMAGE),
        state="running",
        labels=((APP, app),),
    )


def _add(hosts: dict[str, HostState], host: str, replica: Replica) -> None:
    state = hosts[host]
    assert all(one.name != replica.name for one in state.replicas)
    hosts[host] = replace(state, replicas=(*state.replicas, replica))


def _remove(hosts: dict[str, HostState], host: str, container: str) -> None:
    state = hosts[host]
    assert any(one.id == container for one in state.replicas), f"{container} is not on {host}"
    hosts[host] = replace(state, replicas=tuple(one for one in state.replicas if one.id != container))


def where(states: Iterable[HostState], name: str = "web") -> dict[int, str]:
    """Host by slot."""
    found = [(one.slot, state.name) for state in states for one in state.replicas if one.service == name]
    assert len(dict(found)) == len(found), f"a slot twice: {found}"
    return dict(sorted(found))


def counts(states: Iterable[HostState], name: str = "web") -> list[int]:
    return [sum(one.service == name for one in state.replicas) for state in states]
