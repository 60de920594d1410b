"""Secrets and configs: their content, read on the operator's machine, and brought to the hosts that need it."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lxcwrap.deploy.application import Application, Content, Service, Source
from lxcwrap.deploy.host import Host, HostFailed, all_of, ask, run, together
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.plan import Action, Plan
from lxcwrap.errors import LxcwrapError, NotFound

_TIME = 120  # seconds for a command that prints one
_LARGEST_RECORDED = 1 << 20  # bytes of a config

Pair = tuple[str, str]


def read(content: Content) -> bytes | None:
    """None: it is on the hosts already.  Raises LxcwrapError, which never shows the content."""
    if content.source is Source.INLINE:
        return content.value.encode()
    if content.source is Source.ENVIRONMENT:
        if content.value not in os.environ:
            raise NotFound(f"{content.name}: the environment has no {content.value}")
        return os.environb[content.value.encode()]
    if content.source is Source.FILE:
        try:
            with open(content.value, "rb") as stream:
                return stream.read()
        except OSError as error:
            raise NotFound(f"{content.name}: {content.value} cannot be read: {error.strerror}") from None
    return _printed(content) if content.source is Source.COMMAND else None


def _printed(content: Content) -> bytes:
    try:
        done = subprocess.run(content.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_TIME)
    except OSError as error:
        raise LxcwrapError(f"{content.name}: {content.command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise LxcwrapError(f"{content.name}: {content.command[0]} took more than {_TIME} s") from None
    if done.returncode:
        raise LxcwrapError(f"{content.name}: {content.command[0]} ended with exit code {done.returncode}")
    return done.stdout


def read_all(contents: Iterable[Content]) -> dict[str, bytes]:
    """By key, those that are not on the hosts already."""
    found = {content.key: read(content) for content in contents}
    return {key: value for key, value in found.items() if value is not None}


def recorded(application: Application) -> Application:
    """With the text of its configs, so that a release is whole wherever it is rolled back to."""
    return replace(application, configs=tuple(_recorded(config) for config in application.configs))


def _recorded(config: Content) -> Content:
    content = read(config)
    if content is None or len(content) > _LARGEST_RECORDED:
        return config
    try:
        return replace(config, source=Source.INLINE, value=content.decode(), command=())
    except UnicodeDecodeError:
        return config


def keys_of(service: Service, application: Application) -> set[str]:
    """Of the secrets and configs that it uses."""
    secret_keys = {content.name: content.key for content in application.secrets}
    config_keys = {content.name: content.key for content in application.configs}
    return {secret_keys[use.name] for use in service.secrets} | {config_keys[use.name] for use in service.configs}


def needed(application: Application, plan: Plan, states: Sequence[HostState]) -> dict[str, set[str]]:
    """The keys that each host needs: for what runs there, and for what will."""
    found: dict[str, set[str]] = {state.name: set() for state in states}
    going = {(change.from_host, change.container) for change in plan.changes if change.action is Action.MOVE}
    going |= {(change.host, change.container) for change in plan.changes if change.action is Action.REMOVE}
    at = [(state.name, one.service) for state in states for one in state.replicas if (state.name, one.id) not in going]
    at += [(change.host, change.service) for change in plan.changes if change.action is not Action.REMOVE]
    for host, name in at:
        service = application.service(name)
        if service and host in found:
            found[host] |= keys_of(service, application)
    return found


def put(
    hosts: Iterable[Host], application: Application, needs: dict[str, set[str]], contents: dict[str, bytes],
    *, check: bool = False,
) -> dict[str, dict[str, str]]:  # fmt: skip
    """Bring them there; the versions that each host has then, by key.

    With ``check`` nothing is brought: what a host does not have is of the version ''.
    """
    configs = {content.key for content in application.configs}
    versions = {key: secrets.token_hex(8) for key in contents}

    def one(host: Host) -> dict[str, str]:
        return {
            key: _put(host, application.name, key, contents[key], versions[key], is_config=key in configs, check=check)
            for key in sorted(needs.get(host.name, ()))
            if key in contents
        }

    return all_of(hosts, one)


def _put(host: Host, app: str, key: str, content: bytes, version: str, *, is_config: bool, check: bool) -> str:
    """``version``: what a new content is called, the same on all hosts."""
    words = ["app-end", "secret-put", app, key, *(["--config"] if is_config else [])]
    words += ["--check"] if check else ["--version", version]
    answer = ask(host, *words, stdin=content)
    return str(answer.get("version") or "")


def with_versions(state: HostState, versions: dict[str, str]) -> HostState:
    return replace(state, secrets=tuple(sorted({**dict(state.secrets), **versions}.items())))


def lacking(needs: dict[str, set[str]], states: Sequence[HostState]) -> set[str]:
    """Keys that hosts need and do not have."""
    return {key for state in states for key in needs.get(state.name, set()) - {key for key, _ in state.secrets}}


def at_hand(application: Application, keys: set[str]) -> dict[str, bytes]:
    """The content of those that can be read on this machine, for a release whose record has none."""
    found = {}
    for content in (*application.secrets, *application.configs):
        if content.key in keys and not (content.source is Source.INLINE and not content.value):
            try:
                value = read(content)
            except LxcwrapError:
                continue  # the host that lacks it is named
            if value is not None:
                found[content.key] = value
    return found


def missing(application: Application, needs: dict[str, set[str]], states: Sequence[HostState]) -> None:
    """Raises HostFailed for one that should be on a host already and is not."""
    for state in states:
        for key in sorted(needs.get(state.name, set()) - {key for key, _ in state.secrets}):
            raise HostFailed(
                f"{state.name} has no secret or config {key} of {application.name}",
                hint=f"lxcwrap deploy brings those of the file, lxcwrap secret set {key} an external one",
            )


def forget_unused(hosts: Iterable[Host], application: Application) -> None:
    """Old versions that no container has; where it does not work now it will the next time."""
    if application.secrets or application.configs:
        together(hosts, lambda host: run(host, "app-end", "secret-rm", application.name, "--unused"))
