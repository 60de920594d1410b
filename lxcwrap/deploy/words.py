"""Command lines for a host: what makes a service's container, and what hands its traffic over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lxcwrap.deploy.application import Application, PublishedPort, Service
from lxcwrap.deploy.host import HostFailed
from lxcwrap.deploy.observation import APP, CPUS, MEMORY, RELEASE, SERVICE, SLOT, SPEC, HostState

HOOK = "lxcwrap.hook"  # label of a hook's container: its application

# Flags of a service that a container which runs once does without.
_LASTING = (
    "--restart", "--ip", "--ip6", "--health-cmd", "--health-interval", "--health-retries", "--health-timeout",
    "--health-start-period", "--health-start-interval",
)  # fmt: skip


def create(
    service: Service, name: str, image: str, labels: Mapping[str, str], binds: Mapping[str, str]
) -> tuple[str, ...]:
    """``binds``: the file on the host of each secret and config, by its path in the container."""
    return (
        "create", "--pull", "never", "--name", name,
        *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")),
        *service.flags, *_networks(service), *_own_ports(service), *_binds(binds), image, *service.command,
    )  # fmt: skip


def labels(app: str, service: Service, slot: int, release: int, spec: str) -> dict[str, str]:
    found = {APP: app, SERVICE: service.name, SLOT: str(slot), RELEASE: str(release), SPEC: spec}
    if service.reserved_cpus:
        found[CPUS] = f"{service.reserved_cpus:g}"
    if service.reserved_memory:
        found[MEMORY] = str(service.reserved_memory)
    return found


def binds(application: Application, service: Service, state: HostState) -> dict[str, str]:
    """The files of its secrets and configs on a host, by their paths in the container.  Raises HostFailed."""
    secrets = {content.name: content.key for content in application.secrets}
    configs = {content.name: content.key for content in application.configs}
    uses = [(use, secrets[use.name], state.secret_place) for use in service.secrets]
    uses += [(use, configs[use.name], state.config_place) for use in service.configs]
    versions, found = dict(state.secrets), {}
    for use, key, place in uses:
        if key not in versions:
            raise HostFailed(f"{state.name} has no {key}, which {service.name} uses")
        file = f"{use.uid}-{use.gid}-{use.mode:04o}"
        found[use.target] = f"{place}/{application.name}/{key}/{versions[key]}/{file}"
    return found


def once(app: str, service: Service, name: str, command: tuple[str, ...], binds: Mapping[str, str]) -> tuple[str, ...]:
    """A container of the service's image that runs ``command`` instead, and is nobody's server."""
    return (
        "create", "--pull", "never", "--name", name, "--label", f"{HOOK}={app}", *_without(service.flags),
        *_networks(service), *_binds(binds), service.image, *command,
    )  # fmt: skip


def _without(flags: tuple[str, ...]) -> Iterator[str]:
    skip = False
    for word in flags:
        if skip:
            skip = False
        elif word in _LASTING:
            skip = True
        elif word.partition("=")[0] not in _LASTING:
            yield word


def _networks(service: Service) -> Iterator[str]:
    for _, words in service.networks:
        yield from words


def _own_ports(service: Service) -> Iterator[str]:
    """Those that any container of the service may have at the same time: on a port that is free."""
    for port in service.ports:
        if not port.host_port:
            yield from ("-p", f"{_address(port.host_ip)}{port.container_port}/{port.protocol}")


def _binds(binds: Mapping[str, str]) -> Iterator[str]:
    for target, source in binds.items():
        yield from ("--mount", f"type=bind,source={source},target={target},readonly")


def take_over(service: Service, new: str, old: str, name: str) -> tuple[str, ...]:
    return (
        "app-end", "take-over", new, old or "-", "--name", name,
        *(word for port in service.ports if port.host_port for word in ("--publish", _published(port))),
        *(word for network, alias in service.aliases for word in ("--alias", f"{network}={alias}")),
    )  # fmt: skip


def _published(port: PublishedPort) -> str:
    return f"{_address(port.host_ip) or ':'}{port.host_port}:{port.container_port}/{port.protocol}".removeprefix(":")


def _address(text: str) -> str:
    """An address with the colon that follows it."""
    if not text:
        return ""
    return f"[{text}]:" if ":" in text and not text.startswith("[") else f"{text}:"
