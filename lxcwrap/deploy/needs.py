"""What hosts lack of what their containers need: networks, volumes, images, secrets, configs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lxcwrap.deploy.application import Application, Content, ContentUse, Service, Source, Volume
from lxcwrap.deploy.observation import HostState
from lxcwrap.deploy.plan import Item
from lxcwrap.deploy.wanted import Wants

REMOTE = ("nfs", "nfs4", "cifs", "ceph", "glusterfs", "9p", "tmpfs")  # nothing of it stays on a host


@dataclass
class Needs:
    """``missing`` in the order in which things are made; ``problems``: what nobody but the user can make."""

    missing: list[Item] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Needing:
    """What services need, for one application."""

    def __init__(self, application: Application, wants: Wants) -> None:
        self.wants = wants
        self.networks = {network.key: network for network in application.networks}
        self.secrets = {content.name: content for content in application.secrets}
        self.configs = {content.name: content for content in application.configs}
        self.volumes = {service.name: list(volumes_of(application, service)) for service in application.services}

    def of(self, hosts: Mapping[str, HostState], services: Mapping[str, list[Service]]) -> Needs:
        """``services``: those that each host has, or will have, containers of."""
        needs = Needs()
        for name in sorted(services):
            found = dict.fromkeys(item for service in services[name] for item in self._of(hosts[name], service))
            needs.missing += [item for item, external in found if not external]
            needs.problems += [_unmade(item) for item, external in found if external]
        return needs

    def _of(self, host: HostState, service: Service) -> Iterator[tuple[Item, bool]]:
        for name, _ in service.networks:
            network = self.networks.get(name)
            if network and name not in host.networks:
                yield Item("network", host.name, name), network.external
        for volume in self.volumes[service.name]:
            if volume.key not in host.volumes:
                yield Item("volume", host.name, volume.key), volume.external
        if self.wants.lacks_image(host, service):
            yield Item("image", host.name, service.image), False
        yield from self._contents("secret", host, service.secrets, self.secrets)
        yield from self._contents("config", host, service.configs, self.configs)

    def _contents(
        self, kind: str, host: HostState, uses: Iterable[ContentUse], contents: Mapping[str, Content]
    ) -> Iterator[tuple[Item, bool]]:
        for use in uses:
            content = contents.get(use.name)
            if content and self.wants.lacks_content(host, content.key):
                yield Item(kind, host.name, content.key), content.source is Source.EXTERNAL


def volumes_of(application: Application, service: Service) -> Iterator[Volume]:
    """Named volumes that a service has, read-only ones included."""
    for volume in application.volumes:
        if volume.key in service.volumes or any(_mounts(word, volume.key) for word in service.flags):
            yield volume


def _mounts(word: str, key: str) -> bool:
    """``--mount=type=volume,source=KEY,…`` or ``--volume=KEY:…``"""
    option, _, value = word.partition("=")
    if option == "--mount":
        return f"source={key}" in value.split(",")
    return option == "--volume" and value.startswith(f"{key}:")


def is_local(volume: Volume) -> bool:
    """Whether its content is on the host, and stays there when a container moves."""
    parts = (part.partition("type=") for word in volume.words for part in word.split(","))
    return not any(sign and kind in REMOTE for _, sign, kind in parts)


def _unmade(item: Item) -> str:
    return f"{item.kind} {item.name} is external, and {item.host} does not have it"
