"""Hosts that are driven over SSH: what hosts.yaml says, checked, and which hosts a word names.

A host is named by itself, by ``user@address[:port]``, by a group, by ``label=value`` or by ``all``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from lxcwrap.errors import NotFound, UsageError
from lxcwrap.model.names import check_name

ALL = "all"
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?")
_ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.%a-z]{2,64}\]")
_HOST_KEYS = ("address", "user", "port", "identity", "sudo", "labels")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Host:
    """One host.  '' and 0 leave the choice to ~/.ssh/config, and after that to SSH's defaults."""

    name: str
    address: str  # a name, or an address; an alias in ~/.ssh/config will do
    user: str = ""
    port: int = 0
    identity: str = ""  # a private key's file
    sudo: bool | None = None  # None: for every user but root
    labels: Pairs = ()

    def label(self, name: str) -> str | None:
        return dict(self.labels).get(name)


@dataclass(frozen=True)
class Inventory:
    """All hosts by name, and the groups of some."""

    hosts: tuple[Host, ...] = ()
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()  # a group's name and its hosts'

    def find(self, name: str) -> Host | None:
        return next((host for host in self.hosts if host.name == name), None)


def parse_target(text: str) -> Host:
    """``[user@]address[:port]``, an IPv6 address with a port in brackets.  Raises UsageError."""
    user, _, rest = text.rpartition("@")
    address, port = rest, 0
    match = re.fullmatch(r"(\[[^]]*\]|[^:]*):([0-9]+)", rest)
    if match:
        address, port = match[1], _port(int(match[2]), text)
    elif rest.count(":") > 1 and not rest.startswith("["):
        address = f"[{rest}]"
    if "@" in text and not _USER.fullmatch(user):
        raise UsageError(f"{text!r:.100}: {user!r:.40} is not a user's name")
    if not _ADDRESS.fullmatch(address):
        raise UsageError(
            f"{text!r:.100} is not a host", hint="[user@]address[:port], such as root@web1 or 10.0.0.7:2222"
        )
    return Host(text, address.strip("[]"), user, port)


def _port(number: int, where: str) -> int:
    if not 0 < number < 65536:
        raise UsageError(f"{where!r:.100}: port {number} is not between 1 and 65535")
    return number


def parse(plain: Any, where: str) -> Inventory:
    """The hosts in ``plain`` (as YAML gives them) of the file ``where``.  Raises UsageError, naming the place."""
    if plain is None:
        return Inventory()
    _mapping(plain, where, ("hosts", "groups"))
    hosts = tuple(_host(name, value, where) for name, value in _entries(plain.get("hosts"), f"{where}: hosts"))
    groups = tuple(
        (check_host_name(name), _members(name, value, hosts, where))
        for name, value in _entries(plain.get("groups"), f"{where}: groups")
    )
    names = {host.name for host in hosts}
    for name, _ in groups:
        if name in names:
            raise UsageError(f"{where}: {name} is a host and a group")
    return Inventory(hosts, groups)


def check_host_name(text: Any) -> str:
    """A host's or group's name.  Raises UsageError."""
    if text == ALL:
        raise UsageError(f"{ALL!r} names every host and cannot be one's name")
    return check_name(str(text), "host")


def _host(name: Any, value: Any, where: str) -> Host:
    place = f"{where}: host {name}"
    _mapping(value, place, _HOST_KEYS)
    check_host_name(name)
    target = parse_target(str(value.get("address", name)))
    port = value.get("port", target.port)
    if not isinstance(port, int) or isinstance(port, bool):
        raise UsageError(f"{place}: port {port!r:.40} is not a number")
    sudo = value.get("sudo")
    if sudo is not None and not isinstance(sudo, bool):
        raise UsageError(f"{place}: sudo is neither true nor false")
    user = str(value.get("user", target.user))
    if user and not _USER.fullmatch(user):
        raise UsageError(f"{place}: {user!r:.40} is not a user's name")
    labels = tuple((str(key), _text(item)) for key, item in _entries(value.get("labels"), f"{place}: labels"))
    return Host(
        str(name), target.address, user, port and _port(port, place), str(value.get("identity", "")), sudo, labels
    )


def _members(name: str, value: Any, hosts: tuple[Host, ...], where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where}: group {name} is not a list of hosts")
    known = {host.name for host in hosts}
    for member in value:
        if member not in known:
            raise UsageError(f"{where}: group {name}: there is no host {member!r:.100}{_near(str(member), known)}")
    return tuple(value)


def _mapping(value: Any, where: str, known: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a mapping")
    for key in value:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r:.60} (known: {', '.join(known)})")


def _entries(value: Any, where: str) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a mapping")
    return [(key, {} if item is None else item) for key, item in value.items()]


def _text(value: Any) -> str:
    """As YAML writes it: ``true``, not ``True``."""
    return str(value).lower() if isinstance(value, bool) else "" if value == {} else str(value)


def dump(inventory: Inventory) -> dict[str, Any]:
    """What ``parse`` reads."""
    hosts = {}
    for host in inventory.hosts:
        entry: dict[str, Any] = {"address": f"[{host.address}]" if ":" in host.address else host.address}
        for key in ("user", "port", "identity"):
            if getattr(host, key):
                entry[key] = getattr(host, key)
        if host.sudo is not None:
            entry["sudo"] = host.sudo
        if host.labels:
            entry["labels"] = dict(host.labels)
        hosts[host.name] = entry
    groups = {name: list(members) for name, members in inventory.groups}
    return {"hosts": hosts, **({"groups": groups} if groups else {})}


def with_host(inventory: Inventory, host: Host) -> Inventory:
    """With ``host`` in the place of one of that name, or at the end."""
    if inventory.find(host.name):
        return replace(inventory, hosts=tuple(host if one.name == host.name else one for one in inventory.hosts))
    return replace(inventory, hosts=(*inventory.hosts, host))


def without(inventory: Inventory, name: str) -> Inventory:
    """Without the host, in no group either."""
    groups = tuple((group, tuple(one for one in members if one != name)) for group, members in inventory.groups)
    return Inventory(tuple(host for host in inventory.hosts if host.name != name), groups)


def select(inventory: Inventory, text: str) -> tuple[Host, ...]:
    """The hosts that ``text`` names, each once; several words are separated by commas.

    Raises NotFound for a word that names none; UsageError.
    """
    found: dict[str, Host] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        for host in _named(inventory, word):
            found.setdefault(host.name, host)
    if not found:
        raise NotFound(f"{text!r:.100} names no host")
    return tuple(found.values())


def _named(inventory: Inventory, word: str) -> tuple[Host, ...]:
    host = inventory.find(word)
    if host:
        return (host,)
    members = dict(inventory.groups).get(word)
    if members is not None:
        return tuple(host for host in inventory.hosts if host.name in members)
    if word == ALL:
        return inventory.hosts
    label, equals, value = word.partition("=")
    if equals:
        return tuple(host for host in inventory.hosts if host.label(label) == value)
    if "@" in word or ":" in word:
        return (parse_target(word),)
    known = [host.name for host in inventory.hosts] + [name for name, _ in inventory.groups]
    raise NotFound(
        f"there is no host or group {word!r:.100}{_near(word, known)}",
        hint="lxcwrap host ls shows them; lxcwrap host add enrols one; user@address names any",
    )


def _near(word: str, known: Any) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
