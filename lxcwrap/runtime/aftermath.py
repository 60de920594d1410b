"""What liblxc's process leaves when it is killed or gives up: done by its supervisor, which outlives it.

Loaded into supervisors when it happens.
"""

from __future__ import annotations

from typing import Any

from lxcwrap.kernel import cgroup_end, veth


def clear(plan: dict[str, Any]) -> None:
    """End what is in the container's groups, and remove them and the devices on the host's side."""
    above = next((value for key, value in plan["items"] if key == "lxc.cgroup.dir"), "")
    cgroup_end.end(plan["name"], above)
    for key, value in plan["items"]:
        if key.endswith(".veth.pair"):
            veth.drop(value)
