"""What a service's container would be on a host, as far as that host is ready for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lxcwrap.deploy import spec
from lxcwrap.deploy.application import Application, Service
from lxcwrap.deploy.observation import HostState


@dataclass(frozen=True)
class Wanted:
    """``spec`` is '' while the image is not known."""

    image: str
    rest: str
    spec: str


class Wants:
    """Of every service on every host: replicas differ only where hosts do."""

    def __init__(self, application: Application, images: Mapping[str, str]) -> None:
        self.images = images  # IDs by reference, where they are given; else each host's own
        self._keys = {("secret", content.name): content.key for content in application.secrets}
        self._keys |= {("config", content.name): content.key for content in application.configs}
        self._hosts: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self._rests: dict[tuple[str, tuple[str, ...]], str] = {}

    def on(self, host: HostState, service: Service) -> Wanted:
        images, held = self._of(host)
        image = self.images.get(service.image) or images.get(service.image, "")
        uses = [("secret", use.name) for use in service.secrets] + [("config", use.name) for use in service.configs]
        versions = tuple(held.get(self._keys.get(use, use[1]), "") for use in uses)
        rest = self._rests.get((service.name, versions))
        if rest is None:
            rest = spec.digest_of_rest(service, dict(zip(uses, versions, strict=True)))
            self._rests[service.name, versions] = rest
        return Wanted(image, rest, spec.of(image, rest) if image else "")

    def lacks_image(self, host: HostState, service: Service) -> bool:
        found = self._of(host)[0].get(service.image, "")
        return not found or self.images.get(service.image, found) != found

    def lacks_content(self, host: HostState, key: str) -> bool:
        """Whether a secret or config has to be brought there, or again."""
        return not self._of(host)[1].get(key)

    def _of(self, host: HostState) -> tuple[dict[str, str], dict[str, str]]:
        if host.name not in self._hosts:
            self._hosts[host.name] = dict(host.images), dict(host.secrets)
        return self._hosts[host.name]
