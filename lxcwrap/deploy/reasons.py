"""Why a container is replaced, in words: what is wanted against what the last release had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lxcwrap.deploy import spec
from lxcwrap.deploy.application import ContentUse, PublishedPort, Service
from lxcwrap.deploy.masking import masked

SHORT = 12  # digits of an ID
REPEATED = ("--env", "--label", "--annotation", "--sysctl", "--log-opt", "--ulimit")  # each NAME=value is its own
CONTENTS = ("secrets", "configs")
Option = tuple[str, str]  # what it sets, and to what


@dataclass(frozen=True)
class Before:
    """A service as the last release had it."""

    service: Service
    digest: str

    @classmethod
    def of(cls, service: Service) -> Before:
        return cls(service, spec.digest(service, "", {}))

    def made(self, digest: str, part: str) -> bool:
        """Whether a part of a container is the last release's.  Of contents it is not known: no versions are kept."""
        return part in CONTENTS or part not in spec.differing(self.digest, digest)


def reasons(old: str, new: str, before: Before | None, service: Service) -> Iterator[str]:
    """``old`` and ``new`` are digests; ``before`` is None where nothing is known of the last release.

    The image is left to ``image``, which knows both IDs.
    """
    for part in spec.differing(old, new):
        if part == "everything":
            yield "it was made by another version"
        elif part != "image":
            known = list(_PARTS[part](before.service, service)) if before and before.made(old, part) else []
            yield from known or [_contents(part, service) if part in CONTENTS else f"{part} changed"]


def image(old: str, new: str, reference: str, before: Before | None) -> str:
    """What is said of an image that is another one; ``new`` is '' while the host has none of that name."""
    named = f"{before.service.image} → {reference}" if before and before.service.image != reference else ""
    if not new:
        return f"image {named or reference} (not on the host yet)"
    ids = f"{short(old)} → {short(new)}"
    return f"image {named} ({ids})" if named else f"image {ids}"


def short(digest: str) -> str:
    """``sha256:1a2b3c4d5e6f…``"""
    algorithm, _, digits = digest.rpartition(":")
    return f"{algorithm or 'sha256'}:{digits[:SHORT]}"


def _contents(part: str, service: Service) -> str:
    names = [use.name for use in (service.secrets if part == "secrets" else service.configs)]
    if len(names) == 1:
        return f"{part[:-1]} {names[0]} changed"
    return f"{part}: one of {', '.join(names)} changed" if names else f"{part} changed"


def _flags(before: Service, service: Service) -> Iterator[str]:
    yield from ("flags: " + text for text in differences(before.flags, service.flags))


def differences(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """``--env A=1 → A=2``, ``+ --cap-add NET_ADMIN``, ``- --init``; secrets hidden, order of options ignored."""
    olds, news = list(options(old)), list(options(new))
    gone = _without(olds, news)
    come = _without(news, olds)
    for name, value in gone:
        match = next((option for option in come if option[0] == name), None)
        if match is None:
            yield "- " + _shown(name, value)
        else:
            come.remove(match)
            yield _changed(name, value, match[1])
    yield from ("+ " + _shown(name, value) for name, value in come)
    if olds != news and sorted(olds) == sorted(news):
        yield "their order"


def _without(options: Sequence[Option], others: Iterable[Option]) -> list[Option]:
    left = list(others)
    rest = []
    for option in options:
        if option in left:
            left.remove(option)
        else:
            rest.append(option)
    return rest


def options(words: Sequence[str]) -> Iterator[Option]:
    """Options and their values: ('--env A', '1'), ('--init', ''), ('ip', '10.0.0.9')."""
    for word in words:
        name, _, value = word.partition("=")
        if name in REPEATED:
            key, _, value = value.partition("=")
            name = f"{name} {key}"
        yield name, value


def _shown(name: str, value: str) -> str:
    option, _, key = name.partition(" ")
    return " ".join(filter(None, masked([option, f"{key}={value}" if key else value])))


def _changed(name: str, old: str, new: str) -> str:
    olds, news = _shown(name, old), _shown(name, new)
    return f"{olds} → {news.partition(' ')[2]}" if olds != news else f"{olds} (not shown) changed"


def _command(before: Service, service: Service) -> Iterator[str]:
    if before.command == service.command:
        return
    old, new = (" ".join(masked(words)) or "the image's" for words in (before.command, service.command))
    yield f"command: {old} → {new}" if old != new else "command: a word that is not shown changed"


def _networks(before: Service, service: Service) -> Iterator[str]:
    olds, news = dict(before.networks), dict(service.networks)
    yield from (f"network {name} is new" for name in news if name not in olds)
    yield from (f"network {name} is left" for name in olds if name not in news)
    for name in news:
        if name in olds and olds[name] != news[name]:
            yield from (f"network {name}: {text}" for text in differences(olds[name], news[name]))
    yield from (f"alias {alias} in {name} is new" for name, alias in _lacking(service.aliases, before.aliases))
    yield from (f"alias {alias} in {name} is gone" for name, alias in _lacking(before.aliases, service.aliases))


def _lacking(these: Iterable[tuple[str, str]], those: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    known = set(those)
    return [pair for pair in these if pair not in known]


def _ports(before: Service, service: Service) -> Iterator[str]:
    olds, news = (sorted(port_text(port) for port in ports) for ports in (before.ports, service.ports))
    if olds != news:
        yield f"ports: {', '.join(olds) or 'none'} → {', '.join(news) or 'none'}"


def port_text(port: PublishedPort) -> str:
    """``127.0.0.1:80:8080``, ``53:53/udp``, ``8080`` for one on any free port."""
    outside = f"{port.host_ip}:{port.host_port}:" if port.host_ip else f"{port.host_port}:"
    protocol = "" if port.protocol == "tcp" else f"/{port.protocol}"
    return (outside if port.host_port or port.host_ip else "") + f"{port.container_port}{protocol}"


def _uses(kind: str, before: Sequence[ContentUse], now: Sequence[ContentUse]) -> Iterator[str]:
    olds, news = {use.name: use for use in before}, {use.name: use for use in now}
    yield from (f"{kind} {name} is new" for name in news if name not in olds)
    yield from (f"{kind} {name} is gone" for name in olds if name not in news)
    for name, use in news.items():
        if name in olds and olds[name] != use:
            yield f"{kind} {name}: its place, owner or mode changed"


def _secrets(before: Service, service: Service) -> Iterator[str]:
    return _uses("secret", before.secrets, service.secrets)


def _configs(before: Service, service: Service) -> Iterator[str]:
    return _uses("config", before.configs, service.configs)


_PARTS = {
    "flags": _flags,
    "command": _command,
    "networks": _networks,
    "ports": _ports,
    "secrets": _secrets,
    "configs": _configs,
}
