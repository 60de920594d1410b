"""Which services come before which, and which the profiles leave."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from lxcwrap.deploy.application import Condition, Dependency
from lxcwrap.deploy.compose.kinds import nearest
from lxcwrap.deploy.compose.node import Node

ALL = "*"


def active(services: Mapping[str, Node], profiles: Collection[str]) -> dict[str, Node]:
    """The services without a profile, and those of the profiles that are active."""
    found = {}
    for name, service in services.items():
        node = service.child("profiles")
        wanted = {item.text for item in node.items} if node else set()
        if not wanted or ALL in profiles or wanted & set(profiles):
            found[name] = service
    return found


def dependencies(name: str, services: Mapping[str, Node], known: Collection[str]) -> tuple[Dependency, ...]:
    """What a service waits for.  ``known``: all services of the file, active or not.  Raises UsageError."""
    service = services[name]
    found = {}
    node = service.child("depends_on")
    for other, settings in (node.mapping if node else {}).items():
        required = settings.get("required", default=True)
        if other not in services:
            if required:
                raise _missing(name, other, settings, known, "depends_on")
            continue
        condition = Condition(settings.get("condition", default="service_started"))
        found[other] = Dependency(other, condition, settings.get("restart", default=False), required)
    links = service.child("links")
    for link in links.items if links else ():
        other, _, alias = link.text.partition(":")
        if alias not in ("", other):
            raise link.error(f"services.{name}.links: {link.text:.80}: a name for one service only is not supported",
                             f"give {other} the alias below networks:")  # fmt: skip
        if other not in services:
            raise _missing(name, other, link, known, "links")
        found.setdefault(other, Dependency(other))
    return tuple(found.values())


def _missing(name: str, other: str, node: Node, known: Collection[str], key: str) -> Exception:
    if other in known:
        return node.error(f"services.{name}.{key}: {other} is in none of the active profiles")
    return node.error(f"services.{name}.{key}: there is no service {other!r:.60}{nearest(other, known)}")


def sorted_names(needs: Mapping[str, tuple[str, ...]], services: Mapping[str, Node]) -> tuple[str, ...]:
    """The names so that each comes after those that it needs.  Raises UsageError for a circle."""
    rest = {name: len(others) for name, others in needs.items()}
    needed_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, others in needs.items():
        for other in others:
            needed_by[other].append(name)
    done = [name for name, count in rest.items() if not count]
    for name in done:  # which grows meanwhile
        for other in needed_by[name]:
            rest[other] -= 1
            if not rest[other]:
                done.append(other)
    if len(done) < len(needs):
        circle = _circle({name: needs[name] for name, count in rest.items() if count})
        node = services[circle[0]]
        raise (node.child("depends_on") or node).error(
            f"services depend on each other in a circle: {' → '.join(circle)}"
        )
    return tuple(done)


def _circle(rest: Mapping[str, tuple[str, ...]]) -> list[str]:
    path: dict[str, None] = {}
    name = next(iter(rest))
    while name not in path:
        path[name] = None
        name = next(other for other in rest[name] if other in rest)
    names = list(path)
    return [*names[names.index(name) :], name]
