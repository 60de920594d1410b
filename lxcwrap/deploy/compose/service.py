"""One service of the merged document, compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lxcwrap.deploy.application import Dependency, Mode, Service
from lxcwrap.deploy.compose import building, contents, flags, mounts, networks, rollout, variables
from lxcwrap.deploy.compose.kinds import Object
from lxcwrap.deploy.compose.model import Model
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import checked, seconds_of, size_of
from lxcwrap.deploy.compose.table_service import SERVICE
from lxcwrap.model import log_flags, run_flags

_SHARES = "a container that shares another's would have to go with it from host to host"
_BLOCK_LIMITS = ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops")


def compiled(model: Model, name: str, depends_on: tuple[Dependency, ...], *, runs_once: bool) -> Service:
    """Raises UsageError, naming the place."""
    node = model.services[name]
    place = f"services.{name}"
    image = building.image(model, name, node)
    words, aliases = networks.of(model, name, node)
    entrypoint, command = _argv(node, place)
    cpus, memory = rollout.reserved(node)
    count = rollout.replicas(node, place)
    mode = rollout.mode(node)
    named = node.child("container_name")
    if named and (count > 1 or mode is Mode.GLOBAL):
        raise named.error(f"{place}: container_name names one container, and there are several")
    secrets, configs = (contents.uses(model, kind, name, node) for kind in ("secrets", "configs"))
    mounts.check_targets(node, [use.target for use in (*secrets, *configs)], place)
    return Service(
        name=name,
        image=image,
        build=building.build(model, name, node, image),
        flags=(*_flags(model, node, place), *entrypoint),
        command=command,
        networks=words,
        aliases=aliases,
        ports=networks.ports(model, name, node),
        volumes=mounts.written(model, node, place),
        secrets=secrets,
        configs=configs,
        depends_on=depends_on,
        has_health_check=_has_check(node),
        pull=_pull(node, place),
        mode=mode,
        replicas=count,
        placement=rollout.placement(node, place),
        reserved_cpus=cpus,
        reserved_memory=memory,
        update=rollout.update(node, "update_config"),
        rollback=rollout.update(node, "rollback_config"),
        stop_grace=seconds_of(node.child("stop_grace_period"), 10),
        drain=seconds_of(node.child("x-lxcwrap", "drain"), 30),
        runs_once=runs_once,
    )


def _pull(node: Node, place: str) -> str:
    policy, build = node.child("pull_policy"), node.child("build")
    if policy is None:
        return "build" if build else "missing"
    if policy.value == "build" and not build:
        raise policy.error(f"{place}.pull_policy: build, but there is nothing to build")
    return "missing" if policy.value == "if_not_present" else str(policy.value)


def _argv(node: Node, place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(``--entrypoint`` and its value, words after the image)."""
    command, entrypoint = node.child("command"), node.child("entrypoint")
    words = tuple(item.text for item in command.items) if command else ()
    if entrypoint is None or entrypoint.value is None:
        if command is not None and command.value == ():
            raise command.error(f"{place}.command: an empty one cannot take the place of the image's",
                                "give the entrypoint, too")  # fmt: skip
        return (), words
    first, *rest = [item.text for item in entrypoint.items] or [""]
    return (f"--entrypoint={first}",), (*rest, *words)


def _flags(model: Model, node: Node, place: str) -> Iterator[str]:
    yield from flags.of(SERVICE, node)
    for key in ("healthcheck", "logging", "blkio_config", "x-lxcwrap"):
        kind, child = SERVICE.fields[key].kind, node.child(key)
        if child and isinstance(kind, Object) and not (key == "healthcheck" and _is_unchecked(node)):
            yield from flags.of(kind, child)
    _check_logging(node, place)
    yield from _health(node, place)
    yield from _devices(node, place)
    yield from _shared(node, place)
    yield from rollout.resource_flags(node, place)
    restart = rollout.restart(node, place)
    yield from [f"--restart={restart}"] if restart else []
    if node.child("stop_grace_period"):
        yield f"--stop-timeout={math.ceil(seconds_of(node.child('stop_grace_period')))}"
    yield from mounts.flags(model, node, place)
    for name, value in sorted(variables.environment(model, node, place).items()):
        yield f"--env={name}={value}"
    for name, value in sorted(variables.labels(node, place).items()):
        yield f"--label={name}={value}"


def _check_logging(node: Node, place: str) -> None:
    logging = node.child("logging")
    if logging:
        options = tuple(
            f"{key}={value.text}"
            for key, value in logging.get("options", default={}).items()
            if value.value is not None
        )
        checked(logging, f"{place}.logging", lambda _: log_flags.log_config(logging.get("driver", default=""), options))


def _has_check(node: Node) -> bool:
    return node.child("healthcheck", "test") is not None and not _is_unchecked(node)


def _is_unchecked(node: Node) -> bool:
    """Whether the image's check is switched off, whatever else is said of one."""
    test = node.child("healthcheck", "test")
    return bool(node.get("healthcheck", "disable") or (test and test.items and test.items[0].text == "NONE"))


def _health(node: Node, place: str) -> Iterator[str]:
    test = node.child("healthcheck", "test")
    if _is_unchecked(node):
        yield "--no-healthcheck"
    elif test is not None:
        yield f"--health-cmd={_check_command(test, f'{place}.healthcheck.test')}"


def _check_command(test: Node, place: str) -> str:
    """A line for a shell, or the words of a command as JSON."""
    if isinstance(test.value, str):
        return test.value
    kind, *words = [item.text for item in test.items] or [""]
    if kind == "CMD-SHELL" and len(words) == 1:
        return words[0]
    if kind != "CMD" or not words:
        raise test.error(f"{place}: a list begins with CMD, CMD-SHELL (and one more) or NONE")
    import json

    return json.dumps(words, ensure_ascii=False)


def _devices(node: Node, place: str) -> Iterator[str]:
    devices = node.child("devices")
    for item in devices.items if devices else ():
        parts = [item.get("source"), item.get("target", default=item.get("source"))]
        text = ":".join([*parts, *([item.get("permissions")] if item.child("permissions") else [])])
        checked(Node(text, item.mark, text), f"{place}.devices", run_flags.device)
        yield f"--device={text}"
    for name, limit in (node.get("ulimits", default={})).items():
        text = f"{name}={limit.get('soft', default=-1)}:{limit.get('hard', default=-1)}"
        checked(Node(text, limit.mark, text), f"{place}.ulimits", run_flags.ulimit)
        yield f"--ulimit={text}"
    block = node.child("blkio_config")
    if block:
        for item in block.get("weight_device", default=()):
            yield f"--blkio-weight-device={item.get('path')}:{item.get('weight')}"
        for key in _BLOCK_LIMITS:
            for item in block.get(key, default=()):
                rate = item.get("rate")
                number = rate if isinstance(rate, int) else size_of(item.child("rate"))
                yield f"--{key.replace('_', '-')}={item.get('path')}:{number}"


def _shared(node: Node, place: str) -> Iterator[str]:
    """Namespaces that are the host's."""
    for key, words in (("ipc", ("private", "shareable", "host")), ("pid", ("host",))):
        child = node.child(key)
        if child is None:
            continue
        if child.text.startswith(("service:", "container:")):
            raise child.error(f"{place}.{key}: {child.text:.60} is not supported: {_SHARES}")
        checked(child, place, lambda text, key=key, words=words: run_flags.namespace(text, key, words))  # type: ignore[misc]
        yield f"--{key}={child.text}"
