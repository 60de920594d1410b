"""The table of keys: the top level.  Validator, suggestions, merge rules and the JSON schema are made from it."""

from __future__ import annotations

from lxcwrap.deploy.compose import shorts
from lxcwrap.deploy.compose.kinds import External, Field, Many, Map, Noted, Object, Pairs, Refused, Short, Words
from lxcwrap.deploy.compose.scalars import Choice, Kind, Schema, Text, Time, Truth
from lxcwrap.deploy.compose.table_service import SERVICE

_EXTERNAL = External()
_LABELS = Field(Pairs(lines=True), "Labels.", "--label")
_NAME = Field(Text(), "What it is called on the hosts. Default: PROJECT_NAME.")
_FILES: Kind = Many(Text(), single=True)

_ADDRESSES = Object(
    {
        "subnet": Field(Text(), "Its addresses.", "--subnet"),
        "gateway": Field(Text(), "Where the way out is.", "--gateway"),
        "ip_range": Field(Text(), "The part from which containers get theirs.", "--ip-range"),
        "aux_addresses": Field(Pairs(), "Addresses that no container gets.", "--aux-address"),
    }
)
NETWORK = Object(
    {
        "name": _NAME,
        "external": Field(_EXTERNAL, "It is there already: never made, never removed."),
        "driver": Field(Text(), "bridge, macvlan or ipvlan.", "--driver"),
        "driver_opts": Field(Pairs(), "Options of the driver.", "--opt"),
        "internal": Field(Truth(), "No way out, and none in.", "--internal"),
        "enable_ipv6": Field(Truth(), "IPv6 too.", "--ipv6"),
        "enable_ipv4": Field(Refused("every network has IPv4", unless=("true",)), "true, as it is anyway."),
        "attachable": Field(Truth(), "Nothing: every network is."),
        "ipam": Field(
            Object(
                {
                    "config": Field(Many(_ADDRESSES), "One block for each family."),
                    "driver": Field(Refused("addresses are chosen by lxcwrap", unless=("default",)), ""),
                    "options": Field(Refused("addresses are chosen by lxcwrap"), ""),
                }
            ),
            "Its addresses.",
        ),
        "labels": _LABELS,
    }
)

VOLUME = Object(
    {
        "name": _NAME,
        "external": Field(_EXTERNAL, "It is there already: never made, never removed."),
        "driver": Field(Choice(("local",)), "local."),
        "driver_opts": Field(Pairs(), "type, device and o of a mount.", "--opt"),
        "labels": _LABELS,
        "x-lxcwrap": Field(
            Object({"shared": Field(Truth(), "Several containers may write it at the same time.")}),
            "What Compose has no word for.",
        ),
    }
)

CONTENT = Object(
    {
        "name": Field(Text(), "What it is called on the hosts. Default: its name here."),
        "file": Field(Text(), "A file on the operator's machine."),
        "environment": Field(Text(), "A variable on the operator's machine."),
        "content": Field(Text(lines=True), "The content itself."),
        "external": Field(_EXTERNAL, "It is on the hosts already."),
        "x-lxcwrap": Field(
            Object({"command": Field(Words(), "A command on the operator's machine that prints the content.")}),
            "What Compose has no word for.",
        ),
        "labels": Field(Noted("they are files in memory, without labels"), "Nothing: they have none."),
        "driver": Field(Refused("use x-lxcwrap: command"), ""),
        "driver_opts": Field(Refused("use x-lxcwrap: command"), ""),
        "template_driver": Field(Refused("contents are taken as they are"), ""),
    }
)

_HOOK = Short(
    Object(
        {
            "command": Field(Words(), "What is run."),
            "service": Field(Text(), "In a one-off container of this service; none: on the operator's machine."),
            "timeout": Field(Time(), "How long it may take. Default 10m."),
        },
        needs=("command",),
    ),
    shorts.hook,
)
LXCWRAP = Object(
    {
        "hosts": Field(Many(Text(), single=True), "The hosts that the application may be on, as -H takes them."),
        "hooks": Field(
            Object(
                {
                    "before-deploy": Field(Many(_HOOK), "Before the first change, such as a migration."),
                    "after-deploy": Field(Many(_HOOK), "After the last one."),
                }
            ),
            "What is done before and after a deployment.",
        ),
    }
)

INCLUDE = Short(
    Object(
        {
            "path": Field(_FILES, "The file, or several that are merged."),
            "project_directory": Field(Text(), "What its relative paths are relative to. Default: its folder."),
            "env_file": Field(_FILES, "Its variables. Default: .env in its folder."),
        },
        needs=("path",),
    ),
    shorts.named("path"),
)

FILE = Object(
    {
        "name": Field(Text(), "The project's name."),
        "services": Field(Map(SERVICE, "service"), "The services."),
        "networks": Field(Map(NETWORK, "network"), "The networks."),
        "volumes": Field(Map(VOLUME, "volume"), "The named volumes."),
        "secrets": Field(Map(CONTENT, "secret"), "The secrets."),
        "configs": Field(Map(CONTENT, "config"), "The configs."),
        "include": Field(Many(INCLUDE), "Other Compose files whose services, networks and so on come along."),
        "x-lxcwrap": Field(LXCWRAP, "What Compose has no word for."),
        "version": Field(Noted("every version is read in the same way"), "Nothing: it is obsolete."),
        "models": Field(Refused("there is no model runner"), ""),
    }
)


def schema() -> Schema:
    """The JSON schema of a Compose file, for editors."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A Compose file as lxcwrap reads it",
        **FILE.schema(),
    }
