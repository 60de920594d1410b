"""What a container is asked to be: frozen, complete, independent of how it is run."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lxcwrap.model.health import HealthCheck
from lxcwrap.model.record import Record


class MountKind(enum.Enum):
    """Where a mount's content comes from."""

    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"
    IMAGE = "image"


class RestartKind(enum.Enum):
    """When a container that ended is started again."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"


class UserNamespace(enum.Enum):
    """Whether root in the container is root on the host."""

    DEFAULT = ""  # PRIVATE wherever the kernel can, else HOST
    PRIVATE = "private"
    HOST = "host"


@dataclass(frozen=True)
class Mount(Record):
    """A mount into the container.  ``options`` are tmpfs's (``size=64m``) or bind's propagation words."""

    nested: ClassVar[dict[str, type[Any]]] = {"kind": MountKind}

    kind: MountKind
    target: str  # absolute path in the container
    source: str = ""  # host path of a bind, volume's name, image reference; empty: anonymous volume
    read_only: bool = False
    options: tuple[str, ...] = ()
    no_copy: bool = False  # a new volume is not filled with the image's content
    create_source: bool = False  # -v makes a missing host directory, --mount does not
    subpath: str = ""
    anonymous: bool = False  # removed with the container by --rm and rm -v
    image: str = ""  # ID of the image that is mounted, once it is known
    writable_below: bool = False  # read_only keeps to the mount itself: what is mounted below stays as it is
    labels: tuple[tuple[str, str], ...] = ()  # of a volume that is made for this mount
    driver_options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Port(Record):
    """A published port.  ``host_port`` 0 asks for a free one; ``host_ip`` '' for the configured default.

    ``host_last`` asks for the first free one from ``host_port`` to it.
    """

    container_port: int
    protocol: str = "tcp"  # tcp, udp, sctp
    host_ip: str = ""
    host_port: int = 0
    host_last: int = 0


@dataclass(frozen=True)
class Device(Record):
    """A host device made available in the container; ``permissions`` is a subset of ``rwm``."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True)
class Ulimit(Record):
    """A setrlimit(2) pair; -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class RestartPolicy(Record):
    """``limit`` counts restarts and goes with ON_FAILURE only; 0 is no limit."""

    nested: ClassVar[dict[str, type[Any]]] = {"kind": RestartKind}

    kind: RestartKind = RestartKind.NO
    limit: int = 0


@dataclass(frozen=True)
class DeviceLimit(Record):
    """A number for one block device: a weight, bytes or operations per second."""

    path: str
    value: int


@dataclass(frozen=True)
class Resources(Record):
    """Limits.  Bytes, nano-CPUs, counts; 0 or '' leaves the kernel's default, -1 is unlimited where that differs."""

    memory: int = 0
    memory_swap: int = 0  # memory + swap, as Docker counts; -1 is unlimited swap
    memory_reservation: int = 0
    nano_cpus: int = 0  # --cpus times 10**9
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 64 * 1024 * 1024
    blkio_weight: int = 0
    blkio_weight_device: tuple[DeviceLimit, ...] = ()
    device_read_bps: tuple[DeviceLimit, ...] = ()
    device_read_iops: tuple[DeviceLimit, ...] = ()
    device_write_bps: tuple[DeviceLimit, ...] = ()
    device_write_iops: tuple[DeviceLimit, ...] = ()
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    memory_swappiness: int = -1
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    cgroup_parent: str = ""

    nested: ClassVar[dict[str, type[Any]]] = {
        "ulimits": Ulimit,
        "blkio_weight_device": DeviceLimit,
        "device_read_bps": DeviceLimit,
        "device_read_iops": DeviceLimit,
        "device_write_bps": DeviceLimit,
        "device_write_iops": DeviceLimit,
    }


@dataclass(frozen=True)
class LogConfig(Record):
    """``local``: rotating files of ``max_size`` bytes, ``max_file`` of them; ``journald``; ``none``."""

    driver: str = "local"
    max_size: int = 20 * 1024 * 1024
    max_file: int = 5
    compress: bool = True  # old files, but for the youngest
    tag: str = ""  # for journald, as are those below; with {{.Name}} and its like
    labels: tuple[str, ...] = ()  # that go with each line
    env: tuple[str, ...] = ()
    labels_regex: str = ""
    env_regex: str = ""


@dataclass(frozen=True)
class Security(Record):
    """What a container may do beyond or short of the defaults (design, section 6)."""

    privileged: bool = False
    cap_add: tuple[str, ...] = ()  # without CAP_, upper case; ALL is allowed
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()  # no-new-privileges, seccomp=…, apparmor=…, systempaths=unconfined
    user_namespace: UserNamespace = UserNamespace.DEFAULT
    devices: tuple[Device, ...] = ()
    device_rules: tuple[str, ...] = ()  # --device-cgroup-rule: ``c 1:3 rwm``
    sysctls: tuple[tuple[str, str], ...] = ()
    read_only: bool = False

    nested: ClassVar[dict[str, type[Any]]] = {"user_namespace": UserNamespace, "devices": Device}


@dataclass(frozen=True)
class Attachment(Record):
    """A network of the user's that a container is on, and how."""

    name: str
    ip: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    ip6: str = ""


@dataclass(frozen=True)
class NetworkConfig(Record):
    """How a container is on the network.  ``mode``: bridge, none, host, container:<id>, or a network's name."""

    mode: str = "bridge"
    ports: tuple[Port, ...] = ()
    publish_all: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()  # name:address; address may be host-gateway
    mac_address: str = ""
    ip: str = ""  # on the network that ``mode`` names, as are the aliases
    aliases: tuple[str, ...] = ()
    more: tuple[Attachment, ...] = ()  # further networks
    ip6: str = ""
    left: str = ""  # with ``none``: the network that was its last before it left it

    nested: ClassVar[dict[str, type[Any]]] = {"ports": Port, "more": Attachment}

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """All networks that can be named, the first one first; none for a namespace of another kind."""
        if self.mode in ("none", "host") or self.mode.startswith("container:"):
            return ()
        return (Attachment(self.mode, self.ip, self.mac_address, self.aliases, self.ip6), *self.more)


@dataclass(frozen=True)
class Namespaces(Record):
    """Whose namespaces a container is in: '' its own, ``host``, or ``container:<id>``.

    ``ipc`` is also ``private`` (nobody may join it) or ``shareable``.
    """

    ipc: str = ""
    pid: str = ""
    uts: str = ""
    cgroup: str = ""


@dataclass(frozen=True)
class ContainerConfig(Record):
    """Everything that ``create`` decides: image defaults and the user's flags, merged.  Stored as JSON in the row."""

    nested: ClassVar[dict[str, type[Any]]] = {
        "mounts": Mount,
        "health": HealthCheck,
        "resources": Resources,
        "security": Security,
        "network": NetworkConfig,
        "namespaces": Namespaces,
        "restart": RestartPolicy,
        "log": LogConfig,
    }

    image: str  # as the user typed it
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()  # appended to the entrypoint
    env: tuple[str, ...] = ()  # NAME=value, image's first, later ones win already applied
    working_dir: str = "/"
    user: str = ""  # user[:group], names or numbers, resolved in the rootfs at start
    groups: tuple[str, ...] = ()
    hostname: str = ""  # '' : the short id
    domainname: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    exposed: tuple[str, ...] = ()  # port/protocol
    stop_signal: str = "SIGTERM"
    stop_timeout: int = 10  # seconds
    tty: bool = False
    interactive: bool = False  # keep stdin open
    attach: tuple[str, ...] = ()
    init: bool = False
    system: bool = False  # boots a full init such as systemd
    auto_remove: bool = False
    detached: bool = False
    cidfile: str = ""
    mounts: tuple[Mount, ...] = ()
    health: HealthCheck = field(default_factory=HealthCheck)
    health_on_failure: str = ""  # none, kill, restart, stop
    resources: Resources = field(default_factory=Resources)
    security: Security = field(default_factory=Security)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    namespaces: Namespaces = field(default_factory=Namespaces)
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    log: LogConfig = field(default_factory=LogConfig)

    @property
    def argv(self) -> tuple[str, ...]:
        """What is executed."""
        return self.entrypoint + self.command
