"""systemd's unit files: what lxcwrap writes for the host's start, for one container, and from a quadlet file.  Pure.

Sources: systemd.unit(5), systemd.service(5), podman-systemd.unit(5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from lxcwrap.errors import UsageError

Program = Sequence[str]  # how lxcwrap is called, its global options included

_HEAD = "# Written by lxcwrap.\n"
# keys of [Container] that are a flag of create, with a value each
_FLAGS = {
    "AddCapability": "--cap-add",
    "AddDevice": "--device",
    "AddHost": "--add-host",
    "ContainerName": "--name",
    "DNS": "--dns",
    "DNSOption": "--dns-option",
    "DNSSearch": "--dns-search",
    "DropCapability": "--cap-drop",
    "Entrypoint": "--entrypoint",
    "Environment": "--env",
    "EnvironmentFile": "--env-file",
    "ExposeHostPort": "--expose",
    "GroupAdd": "--group-add",
    "HealthCmd": "--health-cmd",
    "HealthInterval": "--health-interval",
    "HealthOnFailure": "--health-on-failure",
    "HealthRetries": "--health-retries",
    "HealthStartPeriod": "--health-start-period",
    "HealthTimeout": "--health-timeout",
    "HostName": "--hostname",
    "Label": "--label",
    "LogDriver": "--log-driver",
    "LogOpt": "--log-opt",
    "Memory": "--memory",
    "Network": "--network",
    "PidsLimit": "--pids-limit",
    "PublishPort": "--publish",
    "Pull": "--pull",
    "ShmSize": "--shm-size",
    "StopSignal": "--stop-signal",
    "StopTimeout": "--stop-timeout",
    "Sysctl": "--sysctl",
    "Tmpfs": "--tmpfs",
    "Ulimit": "--ulimit",
    "User": "--user",
    "UserNS": "--userns",
    "Volume": "--volume",
    "WorkingDir": "--workdir",
}
_SWITCHES = {"ReadOnly": "--read-only", "RunInit": "--init", "NoNewPrivileges": "--security-opt=no-new-privileges"}
_SEVERAL = ("Environment", "Label", "AddCapability", "DropCapability", "Sysctl")  # words of one line
_TRUTH = {**dict.fromkeys(("1", "yes", "true", "on"), True), **dict.fromkeys(("0", "no", "false", "off"), False)}


def line(words: Program) -> str:
    """A command line as ExecStart= reads it: nothing in it is expanded."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    text = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    text = text.replace("\n", "\\n").replace("\t", "\\t")
    return text if re.fullmatch(r"[A-Za-z0-9_@:=,./+-]+", text) else f'"{text}"'


def host_unit(program: Program, root: str) -> str:
    """Starts at boot what ran when the host went down or is to run always, and stops all in order before."""
    return f"""{_HEAD}
[Unit]
Description=Containers of lxcwrap ({root.replace("%", "%%")})
After=network-online.target nftables.service apparmor.service
Wants=network-online.target
RequiresMountsFor={_quoted(root)}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={line([*program, "system", "start"])}
ExecStop={line([*program, "system", "stop"])}
KillMode=process
TimeoutStartSec=infinity
TimeoutStopSec=120
Delegate=yes

[Install]
WantedBy=multi-user.target
"""


def container_unit(program: Program, root: str, name: str, *, restart: str = "on-failure", patience: int = 10) -> str:
    """Runs one container that exists; it is ready when the container runs, with a health check when it is healthy."""
    return _unit(
        f"Container {name}", root, line([*program, "system", "serve", name]), restart=restart, patience=patience
    )


def _unit(
    title: str, root: str, start: str, *, restart: str, patience: int, before: Sequence[str] = (), unit: str = "",
    service: str = "", install: str = "WantedBy=multi-user.target\n",
) -> str:  # fmt: skip
    return f"""{_HEAD}
[Unit]
Description={title.replace("%", "%%")}
After=network-online.target
Wants=network-online.target
RequiresMountsFor={_quoted(root)}
{unit}
[Service]
Type=notify
NotifyAccess=main
{"".join(f"{item}{chr(10)}" for item in before)}ExecStart={start}
Restart={restart}
KillMode=mixed
TimeoutStartSec=300
TimeoutStopSec={patience + 30}
Delegate=yes
{service}
[Install]
{install}"""


class _Quadlet(NamedTuple):
    """A quadlet file by its sections: lists of key and value in the file's order."""

    sections: dict[str, list[tuple[str, str]]]

    def texts(self, name: str) -> str:
        return "".join(f"{key}={value}\n" for key, value in self.sections.get(name, ()))


def quadlet(text: str, where: str, program: Program, root: str) -> str:
    """The unit of a ``.container`` file.  Raises UsageError naming the line that is not understood."""
    read = _read(text, where)
    container = read.sections.get("Container")
    if container is None:
        raise UsageError(f"{where}: there is no [Container] section")
    values = dict(container)
    if not values.get("Image"):
        raise UsageError(f"{where}: [Container] names no Image=")
    stem = re.sub(r"\.container$", "", where.rpartition("/")[2])
    name = values.get("ContainerName") or f"systemd-{stem}"
    create = [*program, "create", *_options(container, where), *([] if "ContainerName" in values else ["--name", name])]
    create += [values["Image"], *_words(values.get("Exec", ""), where)]
    remove = line([*program, "rm", "-f", name])
    has_restart = any(key == "Restart" for key, _ in read.sections.get("Service", ()))
    made = _unit(
        f"Container {name}", root, line([*program, "system", "serve", name]),
        restart="no", patience=int(values["StopTimeout"]) if values.get("StopTimeout", "").isdigit() else 10,
        before=(f"ExecStartPre=-{remove}", f"ExecStartPre={line(create)}", f"ExecStopPost=-{remove}"),
        unit=read.texts("Unit"), service=read.texts("Service"), install=read.texts("Install"),
    )  # fmt: skip
    return made.replace("Restart=no\n", "", 1) if has_restart else made


def _options(container: list[tuple[str, str]], where: str) -> list[str]:
    found = []
    for key, value in container:
        if key in ("Image", "Exec"):
            continue
        if key in _FLAGS:
            for word in _words(value, where) if key in _SEVERAL else [value]:
                found.append(f"{_FLAGS[key]}={word}")
        elif key in _SWITCHES:
            if value.lower() not in _TRUTH:
                raise UsageError(f"{where}: {key}={value:.40} is not yes or no")
            found += [_SWITCHES[key]] if _TRUTH[value.lower()] else []
        else:
            raise UsageError(f"{where}: lxcwrap does not know {key}= in [Container]")
    return found


def _words(value: str, where: str) -> list[str]:
    import shlex

    try:
        return shlex.split(value)
    except ValueError as error:
        raise UsageError(f"{where}: {value!r:.60}: {error}") from None


def _read(text: str, where: str) -> _Quadlet:
    sections: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] | None = None
    for number, raw in enumerate(text.replace("\\\n", " ").splitlines(), 1):
        content = raw.strip()
        if not content or content.startswith(("#", ";")):
            continue
        if match := re.fullmatch(r"\[([A-Za-z]+)\]", content):
            if match[1] not in ("Unit", "Container", "Service", "Install"):
                raise UsageError(f"{where}: line {number}: there is no section {content}")
            current = sections.setdefault(match[1], [])
            continue
        key, equals, value = content.partition("=")
        if current is None or not equals or not key.strip():
            raise UsageError(f"{where}: line {number}: {content!r:.60} is not KEY=VALUE in a section")
        current.append((key.strip(), value.strip()))
    return _Quadlet(sections)
