"""Another image below a container that exists: what of its configuration came from the old image, and what stays.

Pure.  A container's configuration holds the image's defaults and what the user asked for, merged.  What is just as the
old image has it is taken for a default, and becomes the new image's.
"""

from __future__ import annotations

from dataclasses import fields, replace

from lxcwrap.actions import create
from lxcwrap.model.container import ContainerConfig
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.image import RunConfig


def rebased(config: ContainerConfig, old: RunConfig, new: RunConfig, image: str) -> ContainerConfig:
    """The configuration on the image named ``image``.  Raises UsageError when nobody names a command then."""
    asked, entrypoint_given = _asked(config, old)
    wanted = create.merge(new, _with_health(asked, new), entrypoint_given=entrypoint_given)
    gone_variables = _names(old.env) - _names(config.env)
    gone_labels = dict(old.labels).keys() - dict(config.labels).keys()
    return replace(
        wanted,
        image=image,
        env=tuple(item for item in wanted.env if item.partition("=")[0] not in gone_variables),
        labels=tuple(pair for pair in wanted.labels if pair[0] not in gone_labels),
    )


def _asked(config: ContainerConfig, old: RunConfig) -> tuple[ContainerConfig, bool]:
    """What the user asked for, empty where the old image decided; and whether the entrypoint was the user's."""
    entrypoint, command = old.entrypoint, old.command
    if config.system:
        entrypoint, command = create.init_of(entrypoint, command)
    entrypoint_given = config.entrypoint != entrypoint
    keeps_command = entrypoint_given or config.command != command
    signal = old.stop_signal or ("SIGRTMIN+3" if config.system else "SIGTERM")
    asked = replace(
        config,
        entrypoint=config.entrypoint if entrypoint_given else (),
        command=config.command if keeps_command else (),
        env=tuple(item for item in config.env if item not in old.env),
        working_dir="" if config.working_dir == (old.working_dir or "/") else config.working_dir,
        user="" if config.user == old.user else config.user,
        labels=tuple(pair for pair in config.labels if pair not in old.labels),
        exposed=tuple(port for port in config.exposed if port not in old.exposed),
        stop_signal="" if config.stop_signal == signal else config.stop_signal,
        health=_without(config.health, old.health or HealthCheck()),
    )
    return asked, entrypoint_given


def _without(health: HealthCheck, old: HealthCheck) -> HealthCheck:
    given = {field.name: getattr(health, field.name) for field in fields(HealthCheck)}
    return HealthCheck(**{name: value for name, value in given.items() if value != getattr(old, name)})


def _with_health(asked: ContainerConfig, new: RunConfig) -> ContainerConfig:
    """Times of the old image's check are of no use when the new image has none."""
    has_check = new.health and new.health.test and new.health.test[0] != "NONE"
    if asked.health.test or has_check:
        return asked
    return replace(asked, health=HealthCheck(), health_on_failure="")


def _names(env: tuple[str, ...]) -> set[str]:
    return {item.partition("=")[0] for item in env}
