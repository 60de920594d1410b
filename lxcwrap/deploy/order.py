"""Which goes first when a container is replaced: the new one, unless something has room for one only."""

from __future__ import annotations

from collections.abc import Iterator

from lxcwrap.deploy.application import Application, Order, Service
from lxcwrap.deploy.plan import Action

ADDRESSES = {"ip": "IP address", "ip6": "IPv6 address", "mac-address": "MAC address"}


def order(application: Application, service: Service, action: Action, wanted: Order) -> tuple[Order, str]:
    """The order, and why the old one goes first where nobody asked for that."""
    if action not in (Action.REPLACE, Action.MOVE):
        return Order.START_FIRST, ""
    if wanted is not Order.AUTO:
        return wanted, ""
    why = next(forbidding(application, service, action), "")
    return (Order.STOP_FIRST, f"stop first: {why}") if why else (Order.START_FIRST, "")


def impossible(service: Service) -> str:
    """Why a service that asks for start-first cannot have it; '' if it can."""
    if service.update.order is not Order.START_FIRST:
        return ""
    return next(_one_at_a_time(service), "")


def forbidding(application: Application, service: Service, action: Action) -> Iterator[str]:
    """What the old and the new container cannot both have."""
    if action is Action.REPLACE:  # on another host there is another network
        yield from _one_at_a_time(service)
        if any(name == "host" for name, _ in service.networks):
            yield "both would be on the host's network"
    shared = {volume.key for volume in application.volumes if volume.shared}
    yield from (f"volume {key} has one writer" for key in service.volumes if key not in shared)


def _one_at_a_time(service: Service) -> Iterator[str]:
    """``--ip=…``, or ``ip=…`` within ``--network=name=front,ip=…``."""
    words = [part for _, flags in service.networks for word in flags for part in word.split(",")]
    for word in (*service.flags, *words):
        name, sign, _ = word.removeprefix("--").partition("=")
        if sign and name in ADDRESSES:
            yield f"its {ADDRESSES[name]} is fixed"
