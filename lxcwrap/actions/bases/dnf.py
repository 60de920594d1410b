"""CentOS, Rocky and their kin by ``dnf --installroot``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from lxcwrap.actions.bases import making as tools
from lxcwrap.actions.bases.making import Making

_STAGES = (
    (re.compile(r"(Dependencies resolved|Transaction Summary)"), "Choosing packages"),
    (re.compile(r"Downloading Packages"), "Fetching packages"),
    (re.compile(r"Running transaction\b"), "Installing packages"),
)


def fill(making: Making) -> None:
    """Fill the root.  The packages' own dates stay; the image's is the definition's or the newest file's."""
    template = making.template
    tools.need(making, "dnf", "dnf (Debian and Ubuntu have it too)")
    config = f"{making.staging}/dnf.conf"
    with open(config, "w") as stream:
        stream.write(_config(making))
    os.mkdir(f"{making.staging}/no-repositories")
    making.say(f"dnf: {template.name} {template.release} from {template.mirror}")
    if tools.run(making, _argv(making, config), _stages(making), {}):
        raise making.failed("dnf", tools.last_line(making, "Error:", "Curl error", "GPG", "Errors during"))


def _config(making: Making) -> str:
    """A dnf.conf(5) with our repositories and nothing of the host's."""
    template = making.template
    lines = [
        "[main]",
        "gpgcheck=1",
        "install_weak_deps=0",
        "tsflags=nodocs",
        "plugins=0",
        "keepcache=0",
        "retries=2",
        "timeout=20",
        f"reposdir={making.staging}/no-repositories",
        f"cachedir={making.staging}/cache",
        f"logdir={making.staging}",
    ]
    for name, address in template.repositories:
        keys = " ".join(template.keys)
        lines += [f"[{name}]", f"name={name}", f"baseurl={address}", f"gpgkey={keys}", "enabled=1"]
    return "\n".join(lines) + "\n"


def _argv(making: Making, config: str) -> list[str]:
    template = making.template
    return [
        "dnf",
        "--assumeyes",
        f"--config={config}",
        f"--installroot={making.target}",
        f"--releasever={template.release}",
        f"--forcearch={making.machine}",
        "install",
        *template.packages,
    ]


def _stages(making: Making) -> Callable[[str], None]:
    said: set[str] = set()

    def line(text: str) -> None:
        for pattern, stage in _STAGES:
            if pattern.match(text) and stage not in said:
                said.add(stage)
                making.say(stage)

    return line
