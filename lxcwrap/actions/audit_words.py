"""What an audit of published ports found, in words.  Pure."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Sequence

from lxcwrap.kernel.firewall import Table
from lxcwrap.network.audit import Answer, Kind, Report, Source, Target
from lxcwrap.network.trial import Outcome

_OUTSIDE = (Kind.NEIGHBOUR, Kind.ELSEWHERE, Kind.NAMED)
_HOOK = re.compile(r"chain (\S+) \{\s*type filter hook forward ")

Test = Callable[[Answer], bool]


def is_reached(target: Target) -> Test:
    wanted = Outcome.CONTAINER if target.published else Outcome.HOST
    return lambda answer: answer.now is wanted


def reached_from(answers: Sequence[Answer], fits: Test) -> str:
    """Those whom it fits, as briefly as can be said."""
    if not any(map(fits, answers)):
        return "nowhere"
    if all(map(fits, answers)) and any(answer.source.kind in _OUTSIDE for answer in answers):
        return "everywhere"
    parts = ["this host"] if any(fits(answer) for answer in answers if answer.source.kind is Kind.HOST) else []
    parts += _containers(answers, fits)
    links = dict.fromkeys(answer.source.link for answer in answers if answer.source.kind in _OUTSIDE)
    for link in links:
        parts += _link(link, [answer for answer in answers if answer.source.link == link], fits)
    return ", ".join(parts)


def _containers(answers: Iterable[Answer], fits: Test) -> list[str]:
    asked = [answer for answer in answers if answer.source.kind is Kind.CONTAINERS]
    names = list(dict.fromkeys(answer.source.about for answer in asked if fits(answer)))
    others = list(dict.fromkeys(answer.source.about for answer in asked if not fits(answer)))
    if not names:
        return []
    if not others:
        return ["containers"]
    return [f"containers of {', '.join(names)}" if len(names) <= len(others) else f"containers but of {others[0]}"]


def _link(link: str, answers: Sequence[Answer], fits: Test) -> list[str]:
    """Who reaches it by an interface of the host."""
    near = [answer for answer in answers if answer.source.kind is Kind.NEIGHBOUR]
    far = [answer for answer in answers if answer.source.kind is Kind.ELSEWHERE]
    usual = [*near, *far]
    if usual and all(map(fits, usual)):
        who = [near[0].source.about if len(near) == 1 and not far else "all"]
    else:
        who = [answer.source.about for answer in near if fits(answer)]
        who += ["other networks"] if any(map(fits, far)) else []
    extra: list[str] = []
    missing: list[str] = []
    for answer in answers:
        if answer.source.kind is Kind.NAMED and fits(answer) is not _as_usual(answer.source, near, far, fits):
            (extra if fits(answer) else missing).append(answer.source.about)
    who += extra
    text = f"{link}: {' '.join(who)}" if who else ""
    if text and missing:
        text += f" but not {' '.join(missing)}"
    return [text] if text else []


def _as_usual(source: Source, near: Sequence[Answer], far: Sequence[Answer], fits: Test) -> bool:
    """What becomes of others who come the same way."""
    address = ipaddress.ip_address(source.address)
    for answer in near:
        network = ipaddress.ip_network(answer.source.about)
        if network.version == address.version and address in network:
            return fits(answer)
    return any(fits(answer) for answer in far if (":" in answer.source.address) == (address.version == 6))


def notes(
    target: Target, container_port: int, bridge: str, answers: Sequence[Answer], report: Report
) -> tuple[str, ...]:
    """What somebody should know who published the port."""
    if not target.published:
        return ()
    found = []
    if any(map(_is_trap, answers)):
        found.append(
            f"the host's firewall refuses this port ({reached_from(answers, _is_trap)}), and the container gets it all "
            "the same: what is published is forwarded, and passes no INPUT rule. 'firewall: honour' in "
            "/etc/lxcwrap/network.yaml makes the refusal count, -p 127.0.0.1:… keeps the port on this host."
        )
    if any(map(_is_dropped, answers)):
        command = allowing(report.droppers.get(target, ()), bridge, target.protocol, container_port, target.version)
        found.append(
            f"a rule or policy of the host's firewall drops what is forwarded to the container "
            f"({reached_from(answers, _is_dropped)}). This lets it through: {command}"
        )
    if report.asks and any(_is_honoured(answer) for answer in answers):
        found.append(
            f"refused by the host's firewall, as asked for ({reached_from(answers, _is_honoured)}): "
            "what it lets in to the port, the container gets."
        )
    elif any(map(_is_lost, answers)):
        found.append(
            f"the host's firewall takes it away before it is forwarded ({reached_from(answers, _is_lost)}): "
            "see its raw, mangle and nat rules."
        )
    return tuple(found)


def _is_trap(answer: Answer) -> bool:
    outside = answer.source.kind in _OUTSIDE
    return outside and answer.now is Outcome.CONTAINER and answer.host_alone is not Outcome.HOST


def _is_refused(answer: Answer) -> bool:
    return answer.ours_alone is Outcome.CONTAINER and answer.now is not Outcome.CONTAINER


def _is_dropped(answer: Answer) -> bool:
    return _is_refused(answer) and answer.now is Outcome.FORWARD


def _is_honoured(answer: Answer) -> bool:
    outside = answer.source.kind in _OUTSIDE
    return outside and _is_lost(answer) and answer.host_alone is not Outcome.HOST


def _is_lost(answer: Answer) -> bool:
    return _is_refused(answer) and answer.now is not Outcome.FORWARD


def allowing(tables: Iterable[Table], bridge: str, protocol: str, port: int, version: int) -> str:
    """The command that lets the port through, in the words of the firewall that drops it."""
    family = "ip" if version == 4 else "ip6"
    for table in tables:
        if table.restore and table.family == family:
            chain = "DOCKER-USER" if ":DOCKER-USER " in table.text else "FORWARD"
            if ":ufw" in table.text:
                return f"ufw route allow out on {bridge} to any port {port} proto {protocol}"
            if table.name == "filter":
                program = os.path.basename(table.restore).removesuffix("-restore")
                return f"{program} -I {chain} -o {bridge} -m conntrack --ctstate DNAT -j ACCEPT"
        match = _HOOK.search(table.text) if table.family in ("inet", family) and not table.restore else None
        if match:
            return f"nft insert rule {table.family} {table.name} {match[1]} oifname {bridge} ct status dnat accept"
    return f"an accept for what leaves by {bridge} in the chain that drops it"
