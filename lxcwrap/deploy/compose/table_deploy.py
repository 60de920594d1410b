"""The table of keys: ``deploy`` and ``build`` of a service."""

from __future__ import annotations

from lxcwrap.deploy.compose import shorts
from lxcwrap.deploy.compose.kinds import Field, Many, Noted, Object, Pairs, Refused, Short
from lxcwrap.deploy.compose.scalars import Choice, Decimal, Kind, Size, Text, Time, Truth, Whole

_RATE = "an update's share of containers that may fail, 0 to 1"


def _update(actions: tuple[str, ...]) -> Object:
    return Object(
        {
            "parallelism": Field(Whole(), "How many containers at a time; 0: all at once. Default 1."),
            "delay": Field(Time(), "Time between one batch and the next."),
            "failure_action": Field(Choice(actions), "What follows when a container does not get healthy."),
            "monitor": Field(Time(), "How long a container without a health check has to stay up. Default 5s."),
            "max_failure_ratio": Field(Decimal(1), f"As Swarm has it: {_RATE}."),
            "order": Field(
                Choice(("start-first", "stop-first")),
                "Which container goes first. Default: start-first, unless a volume or an address forbids it.",
            ),
        }
    )


_PLACEMENT = Object(
    {
        "constraints": Field(
            Many(Text()),
            "Hosts that qualify: node.labels.zone == a, node.hostname != web1, node.platform.arch == arm64.",
        ),
        "preferences": Field(
            Many(Object({"spread": Field(Text(), "Spread over the values of a label: node.labels.zone.")})),
            "What to spread over.",
        ),
        "max_replicas_per_node": Field(Whole(), "At most so many of the service's containers on one host."),
    }
)

_GPU = "pass the devices with 'devices'"

_RESOURCES = Object(
    {
        "limits": Field(
            Object(
                {
                    "cpus": Field(Decimal(), "Processors that a container may use, such as 1.5."),
                    "memory": Field(Size(), "Memory that a container may use."),
                    "pids": Field(Whole(-1), "Number of processes; -1: any."),
                }
            ),
            "What a container may use.",
        ),
        "reservations": Field(
            Object(
                {
                    "cpus": Field(Decimal(), "Processors that its host must have left."),
                    "memory": Field(Size(), "Memory that its host must have left; the container's soft limit."),
                    "pids": Field(Refused("processes are not reserved"), ""),
                    "devices": Field(Refused(_GPU), ""),
                    "generic_resources": Field(Refused("hosts have no other resources; use a label"), ""),
                }
            ),
            "What a host must have left to be chosen.",
        ),
    }
)

_RESTART = Object(
    {
        "condition": Field(Choice(("none", "on-failure", "any")), "When a container that ended is started again."),
        "max_attempts": Field(Whole(), "How often, with on-failure."),
        "delay": Field(Noted("the time between restarts grows by itself"), "Restarts back off by themselves."),
        "window": Field(Noted("a restart counts as good after ten seconds"), "Restarts back off by themselves."),
    }
)

DEPLOY = Object(
    {
        "mode": Field(
            Choice(("replicated", "global")), "A number of containers, or one on each host that qualifies."
        ),
        "replicas": Field(Whole(0, 10_000), "How many containers, over all hosts. Default 1."),
        "placement": Field(_PLACEMENT, "Which hosts."),
        "resources": Field(_RESOURCES, "Limits and reservations."),
        "restart_policy": Field(_RESTART, "As restart, in Swarm's words; it goes before restart."),
        "update_config": Field(_update(("pause", "continue", "rollback")), "How containers are replaced."),
        "rollback_config": Field(_update(("pause", "continue")), "How they are replaced on the way back."),
        "labels": Field(Pairs(lines=True), "Labels of the containers; those in labels go before them."),
        "endpoint_mode": Field(
            Refused("names lead to the containers' addresses, as with dnsrr", unless=("dnsrr",)),
            "dnsrr, as it is anyway; vip is refused.",
        ),
    }
)  # fmt: skip

_LATER = "the builder does not have it"
_TEXTS: Kind = Many(Text(), single=True)

BUILD = Short(
    Object(
        {
            "context": Field(Text(), "The folder with the files. Default: the Compose file's."),
            "dockerfile": Field(Text(), "The Dockerfile, relative to the context."),
            "dockerfile_inline": Field(Text(lines=True), "The Dockerfile's text itself."),
            "args": Field(Pairs(lines=True), "Values for ARG; without one, the environment's.", "--build-arg"),
            "labels": Field(Pairs(lines=True), "Labels of the image.", "--label"),
            "target": Field(Text(), "The stage to build.", "--target"),
            "network": Field(Text(), "For RUN: default, none or host.", "--network"),
            "extra_hosts": Field(Pairs("=:", empty=False), "Lines of RUN's /etc/hosts.", "--add-host"),
            "no_cache": Field(Truth(), "Carry out every step anew.", "--no-cache"),
            "pull": Field(Truth(), "Ask the registries for newer base images.", "--pull"),
            "tags": Field(Many(Text()), "Further names for the image.", "--tag"),
            "platforms": Field(Many(Text()), "What the image is for; one of them.", "--platform"),
            "cache_from": Field(Noted("the builder's cache is local"), "Nothing: the cache is local."),
            "cache_to": Field(Noted("the builder's cache is local"), "Nothing: the cache is local."),
            "additional_contexts": Field(Refused(_LATER), ""),
            "entitlements": Field(Refused("builds have no entitlements"), ""),
            "isolation": Field(Refused("it is for Windows", unless=("default",)), ""),
            "privileged": Field(Refused("steps run unprivileged", unless=("false",)), ""),
            "provenance": Field(Refused("images get no attestations", unless=("false",)), ""),
            "sbom": Field(Refused("images get no attestations", unless=("false",)), ""),
            "secrets": Field(Refused(_LATER), ""),
            "shm_size": Field(Refused(_LATER), ""),
            "ssh": Field(Refused(_LATER), ""),
            "ulimits": Field(Refused(_LATER), ""),
        }
    ),
    shorts.named("context"),
)
