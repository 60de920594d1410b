"""``port --audit``: from where each published port of the containers that run is reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lxcwrap.actions import audit_words as words
from lxcwrap.actions import ports as holders
from lxcwrap.actions import sockets
from lxcwrap.errors import LxcwrapError, NotPermitted, Unsupported
from lxcwrap.model.network import ANY, NetworkDefinition
from lxcwrap.network import audit, default, user
from lxcwrap.network.audit import Answer, Report, Target
from lxcwrap.network.trial import Outcome
from lxcwrap.runtime import state as states
from lxcwrap.store import containers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_TRIED = ("tcp", "udp")


class _Port(NamedTuple):
    """A line of the report; ``address`` and ``number`` are the container's (0: the port is the host's own)."""

    container: Container
    target: Target
    address: str = ""
    number: int = 0

    @property
    def text(self) -> str:
        host = f"[{self.target.host_ip}]" if ":" in self.target.host_ip else self.target.host_ip
        inner = f"->{self.number}" if self.number else ""
        return f"{host}:{self.target.port}{inner}/{self.target.protocol}"


class Audit(NamedTuple):
    rows: list[dict[str, Any]]
    problems: tuple[str, ...]  # what could not be tried, and why


def run(store: Store, names: Sequence[str]) -> Audit:
    """Of these containers; of all that run without names.

    Raises NotFound, LxcwrapError for one that does not run, NotPermitted without root.
    """
    chosen = _running(store, names)
    holders.release_dead(store)
    found = [*_published(store, chosen), *_of_the_host(store, chosen)]
    targets = tuple(dict.fromkeys(port.target for port in found if port.target.protocol in _TRIED))
    if not targets:
        return Audit([_row(port, "", None) for port in found], ())
    definitions = [item for item in (default.find(store), *user.listing(store)) if item and item.bridge]
    bridges = {item.name: item.bridge for item in definitions}
    report = _examine(store, found, targets, definitions)
    rows = [_row(port, bridges.get(_network(port.container), ""), report) for port in found]
    problems = list(report.problems)
    if report.missing and any(port.target.published for port in found):
        problems.insert(0, "lxcwrap's rules are not there (somebody deleted them): the next start makes them anew")
    return Audit(rows, tuple(problems))


def _examine(
    store: Store, found: Sequence[_Port], targets: Sequence[Target], definitions: Sequence[NetworkDefinition]
) -> Report:
    bridges = {item.name: item.bridge for item in definitions}
    addresses = {
        port.address: bridges[_network(port.container)]
        for port in found
        if port.address and _network(port.container) in bridges
    }
    networks = {item.bridge: item.name for item in definitions}
    tables = [store.paths.nft_table]
    tables += [user.table(store.paths, item) for item in definitions if item.name != default.NAME]
    try:
        return audit.examine(targets, addresses, networks, tables)
    except PermissionError:
        raise NotPermitted("the firewall cannot be read", hint="lxcwrap needs root: try sudo") from None
    except OSError as error:
        raise Unsupported(f"this host's network cannot be copied: {error.strerror or error}") from error


def _network(container: Container) -> str:
    mode = container.config.network.mode
    return default.NAME if mode == "default" else mode


def _running(store: Store, names: Sequence[str]) -> list[Container]:
    if not names:
        return [one for one in containers.listing(store) if states.read(store.paths, one.id).live]
    chosen = {found.id: found for found in (containers.resolve(store, name) for name in names)}
    for container in chosen.values():
        if not states.read(store.paths, container.id).live:
            raise LxcwrapError(f"container {container.name} is not running", hint=f"lxcwrap start {container.name}")
    return list(chosen.values())


def _published(store: Store, chosen: Sequence[Container]) -> list[_Port]:
    """Their published ports.  No rule can forward from ::1: who publishes there has a program of the host listen."""
    known = {container.id: container for container in chosen}
    found = [
        _Port(
            known[port.container_id],
            Target(port.host_ip, port.host_port, port.protocol, published=port.host_ip != "::1"),
            port.address,
            port.container_port,
        )
        for port in default.published(store)
        if port.container_id in known
    ]
    return sorted(found, key=lambda port: (port.container.name, port.number, port.target.protocol, port.target.port))


def _of_the_host(store: Store, chosen: Sequence[Container]) -> list[_Port]:
    """What containers on the host's network listen on."""
    found = []
    for container in chosen:
        pid = states.read(store.paths, container.id).pid
        if container.config.network.mode != "host" or not pid:
            continue
        try:
            listening = sockets.listening(pid, container.id)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        both = {
            item._replace(address=ANY) for item in listening if item.address == "::"
        }  # such a socket takes IPv4 too
        found += [
            _Port(container, Target(item.address, item.port, item.protocol, published=False))
            for item in sorted({*listening, *both}, key=lambda item: (item.port, item.protocol, item.address))
        ]
    return found


def _row(port: _Port, bridge: str, report: Report | None) -> dict[str, Any]:
    answers = report.answers.get(port.target, ()) if report else ()
    reached = words.is_reached(port.target)
    notes: tuple[str, ...] = ()
    if report and answers:
        notes = words.notes(port.target, port.number, bridge, answers, report)
    elif port.target.protocol not in _TRIED:
        notes = (f"{port.target.protocol} is not tried",)
    return {
        "Container": port.container.name,
        "ID": port.container.id[:12],
        "Network": _network(port.container),
        "Port": port.text,
        "HostIP": port.target.host_ip,
        "HostPort": port.target.port,
        "ContainerPort": port.number or port.target.port,
        "Protocol": port.target.protocol,
        "Published": port.target.published,
        "From": _from(answers, reached, sure=bool(report and not report.problems)),
        "Notes": list(notes),
        "Tried": [_tried(answer, reached(answer)) for answer in answers],
        "Problems": list(report.problems) if report else [],
    }


def _from(answers: Sequence[Answer], reached: words.Test, *, sure: bool) -> str:
    if not answers:
        return "cannot tell"
    text = words.reached_from(answers, reached)
    return text if sure or text == "nowhere" else f"perhaps {text}"  # what is not in the copy might refuse it


def _tried(answer: Answer, reached: bool) -> dict[str, Any]:
    source = answer.source
    return {
        "Kind": source.kind.value,
        "Interface": source.link,
        "Address": source.address if source.link else "",
        "About": source.about,
        "Asks": source.to or ("" if source.link else source.address),
        "Reached": reached,
        "HostFirewallLetsIn": answer.host_alone is Outcome.HOST,
    }
