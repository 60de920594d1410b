"""Command lines for a host: what makes a service's container, and what hands its traffic over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lxcwrap.deploy.application import PublishedPort, Service
from lxcwrap.deploy.observation import APP, RELEASE, SERVICE, SLOT, SPEC

# Flags of a service that a container which runs once does without.
_LASTING = ("--restart", "--ip", "--ip6", "--health-cmd", "--health-interval", "--health-retries", "--health-timeout")
_LASTING += ("--health-start-period", "--health-start-interval")


def create(
    service: Service, name: str, image: str, labels: Mapping[str, str], binds: Mapping[str, str]
) -> tuple[str, ...]:
    """``binds``: the file on the host of each secret and config, by its path in the container."""
    return (
        "create", "--pull", "never", "--name", name,
        *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")),
        *service.flags, *_networks(service), *_own_ports(service), *_binds(binds), image, *service.command,
    )  # fmt: skip


def labels(app: str, service: str, slot: int, release: int, spec: str) -> dict[str, str]:
    return {APP: app, SERVICE: service, SLOT: str(slot), RELEASE: str(release), SPEC: spec}


def once(
    service: Service, name: str, image: str, command: tuple[str, ...], binds: Mapping[str, str]
) -> tuple[str, ...]:
    """A container of the service's that runs ``command`` instead, and is nobody's server."""
    flags = tuple(_without(service.flags))
    return ("create", "--pull", "never", "--name", name, *flags, *_networks(service), *_binds(binds), image, *command)


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
