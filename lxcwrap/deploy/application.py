"""An application as its Compose files ask for it: frozen, checked, with nothing left to look up or interpolate."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

Pairs = tuple[tuple[str, str], ...]


class Order(enum.Enum):
    """Which goes first in an update.  AUTO: the new one, unless something that only one can hold forbids it."""

    AUTO = ""
    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


class OnFailure(enum.Enum):
    """What follows when a container of an update does not get healthy."""

    PAUSE = "pause"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


class Mode(enum.Enum):
    """How many containers a service has: a number of them, or one on each host that qualifies."""

    REPLICATED = "replicated"
    GLOBAL = "global"


class Condition(enum.Enum):
    """What a service waits for of another."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


class Source(enum.Enum):
    """Where a secret's or config's content comes from; ``value`` says which."""

    FILE = "file"
    ENVIRONMENT = "environment"
    INLINE = "content"
    COMMAND = "x-lxcwrap-command"
    EXTERNAL = "external"  # it is on the hosts already


@dataclass(frozen=True)
class Update:
    """update_config, or rollback_config.  Times in seconds."""

    parallelism: int = 1  # 0: all at once
    delay: float = 0
    failure_action: OnFailure = OnFailure.PAUSE
    monitor: float = 5  # how long a container without a health check has to stay up
    max_failure_ratio: float = 0
    order: Order = Order.AUTO


@dataclass(frozen=True)
class Placement:
    """``constraints``: ``node.labels.zone==a``, ``node.hostname!=web1`` …; ``preferences``: labels to spread over."""

    constraints: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    max_replicas_per_host: int = 0  # 0: any number


@dataclass(frozen=True)
class PublishedPort:
    """``host_port`` 0: any that is free, a container's own."""

    container_port: int
    host_port: int = 0
    protocol: str = "tcp"
    host_ip: str = ""


@dataclass(frozen=True)
class Dependency:
    service: str
    condition: Condition = Condition.STARTED
    restart: bool = False
    required: bool = True


@dataclass(frozen=True)
class ContentUse:
    """A secret or config in a service's containers: a read-only file."""

    name: str
    target: str  # absolute path in the container
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@dataclass(frozen=True)
class Content:
    """A secret or a config.  ``key`` is what it is called on the hosts."""

    name: str
    key: str
    source: Source
    value: str = ""  # file's path, variable's name, the content itself, or '' when external
    command: tuple[str, ...] = ()  # argv that prints the content


@dataclass(frozen=True)
class Build:
    """How an image is built, on the operator's machine: ``words`` are what ``lxcwrap build`` is given."""

    context: str  # absolute path
    words: tuple[str, ...] = ()
    dockerfile: str = ""  # its text, for stdin, when it is in the Compose file


@dataclass(frozen=True)
class Volume:
    """A named volume.  ``key`` is what it is called on the hosts; ``external``: never made, never removed."""

    name: str
    key: str
    external: bool = False
    words: tuple[str, ...] = ()  # for ``volume create``
    shared: bool = False  # x-lxcwrap: several containers may write it at the same time


@dataclass(frozen=True)
class Network:
    """As Volume, for ``network create``."""

    name: str
    key: str
    external: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hook:
    """Something to be done before or after a deployment: here (``local``), or in a one-off container of a service."""

    when: str  # before-deploy, after-deploy
    words: tuple[str, ...] = ()  # argv
    service: str = ""  # '' : on the operator's machine
    timeout: float = 600  # seconds


@dataclass(frozen=True)
class Service:
    """One service.  ``flags`` are what ``create`` is given besides name, our labels, networks, ports and image."""

    name: str
    image: str  # a reference; of a built one the tag that it gets
    build: Build | None = None
    flags: tuple[str, ...] = ()
    command: tuple[str, ...] = ()  # words after the image
    networks: tuple[tuple[str, tuple[str, ...]], ...] = ()  # --network words by network name (key), aliases in them
    aliases: Pairs = ()  # network key and alias: names that pass to a new container when it takes over
    ports: tuple[PublishedPort, ...] = ()
    volumes: tuple[str, ...] = ()  # keys of named volumes that it writes
    secrets: tuple[ContentUse, ...] = ()
    configs: tuple[ContentUse, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    has_health_check: bool = False  # in the file; the image may have one besides
    pull: str = "missing"  # always, missing, never, build
    mode: Mode = Mode.REPLICATED
    replicas: int = 1
    placement: Placement = field(default_factory=Placement)
    reserved_cpus: float = 0
    reserved_memory: int = 0  # bytes
    update: Update = field(default_factory=Update)
    rollback: Update = field(default_factory=Update)
    stop_grace: float = 10  # seconds
    drain: float = 30  # x-lxcwrap: seconds that open connections have to finish on the old container
    runs_once: bool = False  # something waits for it to complete: its end is no failure


@dataclass(frozen=True)
class Application:
    """``services`` in the order in which they may be started."""

    name: str
    services: tuple[Service, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[Content, ...] = ()
    configs: tuple[Content, ...] = ()
    hooks: tuple[Hook, ...] = ()
    hosts: str = ""  # x-lxcwrap: the hosts that it may be on, as -H takes them; '' all of them

    def service(self, name: str) -> Service | None:
        return next((service for service in self.services if service.name == name), None)
