"""How many containers a service has, where they may be, what they may use and how they are replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxcwrap.deploy.application import Mode, OnFailure, Order, Placement, Update
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import checked, seconds_of, size_of
from lxcwrap.model import run_flags

_CONSTRAINT = re.compile(r"(\S+?)\s*(==|!=)\s*(\S+)")
_SUBJECTS = ("node.hostname", "node.platform.arch", "node.platform.os")
_LABEL = "node.labels."
_ENGINE = "engine.labels."


def mode(service: Node) -> Mode:
    return Mode(service.get("deploy", "mode", default="replicated"))


def replicas(service: Node, place: str) -> int:
    scale, given = service.child("scale"), service.child("deploy", "replicas")
    if scale and given and scale.value != given.value:
        raise scale.error(f"{place}: scale and deploy.replicas differ")
    node = scale or given
    if node and mode(service) is Mode.GLOBAL:
        raise node.error(f"{place}: a number of replicas does not go with mode global")
    return int(node.value) if node else 1


def placement(service: Node, place: str) -> Placement:
    node = service.child("deploy", "placement")
    if node is None:
        return Placement()
    where = f"{place}.deploy.placement"
    constraints, preferences = node.child("constraints"), node.child("preferences")
    return Placement(
        tuple(_constraint(item, where) for item in (constraints.items if constraints else ())),
        tuple(_preference(item, where) for item in (preferences.items if preferences else ())),
        node.get("max_replicas_per_node", default=0),
    )


def _constraint(item: Node, place: str) -> str:
    match = _CONSTRAINT.fullmatch(item.text.strip())
    if not match:
        raise item.error(f"{place}: {item.text!r:.80} is not a constraint", "write node.labels.zone == a")
    subject = match[1]
    if subject.startswith(_ENGINE):
        subject = _LABEL + subject.removeprefix(_ENGINE)
    if subject == "node.role":
        raise item.error(f"{place}: {item.text!r:.80}: hosts have no roles", "use a label: node.labels.NAME == VALUE")
    if subject not in _SUBJECTS and not (subject.startswith(_LABEL) and subject != _LABEL):
        known = ", ".join((*_SUBJECTS, f"{_LABEL}NAME"))
        raise item.error(f"{place}: {subject!r:.60} is not known of hosts", f"there are {known}")
    return f"{subject}{match[2]}{match[3]}"


def _preference(item: Node, place: str) -> str:
    spread = item.get("spread", default="")
    name = spread.removeprefix(_LABEL) if spread.startswith(_LABEL) else spread.removeprefix(_ENGINE)
    if not name or name == spread:
        raise item.error(f"{place}: spread {spread!r:.60} is not a label of hosts", "write node.labels.zone")
    return str(name)


def update(service: Node, key: str) -> Update:
    """``update_config`` or ``rollback_config``."""
    node = service.child("deploy", key)
    if node is None:
        return Update()
    return Update(
        parallelism=node.get("parallelism", default=1),
        delay=seconds_of(node.child("delay")),
        failure_action=OnFailure(node.get("failure_action", default="pause")),
        monitor=seconds_of(node.child("monitor"), 5),
        max_failure_ratio=node.get("max_failure_ratio", default=0),
        order=Order(node.get("order", default="")),
    )


def reserved(service: Node) -> tuple[float, int]:
    """(processors, bytes) that a host must have left."""
    return (
        service.get("deploy", "resources", "reservations", "cpus", default=0),
        size_of(service.child("deploy", "resources", "reservations", "memory")),
    )


def resource_flags(service: Node, place: str) -> Iterator[str]:
    cpus = _same(service, "cpus", ("limits", "cpus"), place)
    if cpus:
        yield f"--cpus={cpus.value:g}"
    memory = _same(service, "mem_limit", ("limits", "memory"), place)
    if memory:
        least = 6 * 1024 * 1024
        checked(memory, f"{place}: memory", lambda text: run_flags.size(text, "the limit", least))
        yield f"--memory={size_of(memory)}"
    soft = _same(service, "mem_reservation", ("reservations", "memory"), place)
    if soft:
        yield f"--memory-reservation={size_of(soft)}"
    pids = _same(service, "pids_limit", ("limits", "pids"), place)
    if pids:
        yield f"--pids-limit={pids.value}"


def _same(service: Node, old: str, new: tuple[str, str], place: str) -> Node | None:
    """What is said in the service or below ``deploy``; both have to agree."""
    here, there = service.child(old), service.child("deploy", "resources", *new)
    if here and there and _number(here) != _number(there):
        raise here.error(f"{place}: {old} and deploy.resources.{'.'.join(new)} differ")
    return there or here


def _number(node: Node) -> Any:
    return size_of(node) if isinstance(node.value, str) else node.value


def restart(service: Node, place: str) -> str:
    """The value of ``--restart``; '' for none."""
    policy, node = service.child("deploy", "restart_policy"), service.child("restart")
    if policy is None:
        if node is None:
            return ""
        checked(node, f"{place}.restart", run_flags.restart)
        return node.text
    attempts = policy.get("max_attempts", default=0)
    condition = policy.get("condition", default="any")
    if condition == "on-failure":
        return f"on-failure:{attempts}" if attempts else "on-failure"
    if attempts and condition == "any":
        raise policy.error(f"{place}.deploy.restart_policy: max_attempts goes with condition on-failure only")
    return "no" if condition == "none" else "always"
