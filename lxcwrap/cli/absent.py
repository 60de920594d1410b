"""Docker's commands that lxcwrap does not have, and what to do instead.  Loaded when one is asked for."""

from __future__ import annotations

_SWARM = "lxcwrap has no swarm; lxcwrap deploy brings a Compose file to many hosts"

REASONS = {
    "compose": "the same files work: see lxcwrap up, down, app ps, app logs, app exec, and deploy for many hosts",
    "buildx": "see: lxcwrap build",
    "trust": "images are checked by digest, not by signature",
    "context": "hosts have names: see lxcwrap host, and lxcwrap -H HOST before any command",
    "plugin": "there are no plugins",
    "manifest": "see: lxcwrap pull --platform",
    "checkpoint": "containers are not checkpointed",
    "swarm": _SWARM,
    "service": _SWARM,
    "stack": _SWARM,
    "node": _SWARM,
    "config": _SWARM,
    "volume update": "it is for cluster volumes, which need a Swarm",
}


def reason(group: str, name: str) -> str:
    """Why there is no such command of Docker's; '' when Docker has none either.

    ``group``: what stands before it, as in ``lxcwrap network``.
    """
    words = [*group.split()[1:], name]
    return REASONS.get(" ".join(words), REASONS.get(name, "") if words[0] == "container" else "")
