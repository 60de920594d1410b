"""Placement constraints in Swarm's words: ``node.labels.zone == a``, ``node.hostname != web1``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from lxcwrap.deploy.observation import HostState
from lxcwrap.errors import UsageError

SHAPE = re.compile(r"\s*([A-Za-z_][\w.-]+)\s*(==|!=)\s*(\S(?:.*\S)?)\s*", re.ASCII)
FACTS = ("node.id", "node.hostname", "node.role", "node.platform.os", "node.platform.arch")
LABELS = ("node.labels.", "engine.labels.")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "i386": "386"}


@dataclass(frozen=True)
class Constraint:
    """``key``: one of FACTS, or a label behind one of LABELS."""

    key: str
    value: str
    equal: bool = True

    def refuses(self, host: HostState) -> str:
        """Why a host does not do; '' if it does."""
        found = fact(self.key, host)
        if (_comparable(self.key, found) == _comparable(self.key, self.value)) is self.equal:
            return ""
        return f"{self.key} is {found}" if found else f"it has no {self.key}"


def parse(text: str) -> Constraint:
    """Raises UsageError for what is none."""
    shape = SHAPE.fullmatch(text)
    if shape is None:
        raise UsageError(
            f"placement constraint {text!r:.80} is not KEY==VALUE or KEY!=VALUE",
            hint="for example: node.labels.zone==a, node.hostname!=web1",
        )
    key, operator, value = shape.groups()
    return Constraint(_key(key, text), value, operator == "==")


def _key(key: str, text: str) -> str:
    for prefix in LABELS:
        if key.lower().startswith(prefix) and len(key) > len(prefix):
            return prefix + key[len(prefix) :]
    if key.lower() in FACTS:
        return key.lower()
    near = difflib.get_close_matches(key.lower(), (*FACTS, *LABELS), 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(FACTS)}, {', '.join(f'{x}NAME' for x in LABELS)}"
    raise UsageError(f"placement constraint {text!r:.80}: unknown key {key}", hint=hint)


def fact(key: str, host: HostState) -> str:
    """What a key says of a host; '' for a label that it does not have."""
    for prefix in LABELS:
        if key.startswith(prefix):
            return dict(host.labels).get(key[len(prefix) :], "")
    if key in ("node.id", "node.hostname"):
        return host.name
    if key == "node.role":  # nobody is a manager here, but labels may say otherwise
        return dict(host.labels).get("role", "worker")
    return "linux" if key == "node.platform.os" else host.architecture


def preference(text: str) -> str:
    """The key of a label to spread over: ``node.labels.zone``, or ``zone`` alone.  Raises UsageError."""
    return _key(text, text) if "." in text else f"node.labels.{text}"


def _comparable(key: str, value: str) -> str:
    value = value.casefold()  # as Swarm compares
    return MACHINES.get(value, value) if key == "node.platform.arch" else value
